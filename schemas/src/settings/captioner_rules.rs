//! Rules for the settings of captions.

use super::{
    Captioner, Method, Settings, SettingsError, When,
    rule::{self, Rule, is_share, rule},
};

/// Checks the settings of captions.
///
/// # Errors
/// The first key with an invalid value.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let captioner = &settings.captioner;
    rule::check(generation(captioner))?;
    rule::check(choice(captioner))?;
    rule::check(origin(settings))?;
    rule::check(endpoint(captioner))
}

fn generation(captioner: &Captioner) -> [Rule; 5] {
    let (top_p, penalty) = (captioner.top_p, captioner.repetition_penalty);
    let (min, max) = (captioner.min_length, captioner.max_length);
    let is_nucleus = top_p > 0.0 && top_p <= 1.0;
    let is_factor = penalty > 0.0 && penalty.is_finite();
    let captions = captioner.captions;
    [
        rule(!is_nucleus, "captioner.top_p", top_p, "the nucleus has a share above 0 and up to 1"),
        rule(
            !is_factor,
            "captioner.repetition_penalty",
            penalty,
            "a penalty is a factor above 0; 1 means no penalty",
        ),
        rule(min > max, "captioner.min_length", min, "it is above captioner.max_length"),
        rule(captions > 64, "captioner.captions", captions, "at most 64 captions per image"),
        rule(captioner.beams == 0, "captioner.beams", 0, "beam search needs at least one beam"),
    ]
}

fn choice(captioner: &Captioner) -> [Rule; 2] {
    let most = captioner.max_repetition.unwrap_or(1.0);
    [
        rule(
            captioner.keep == Some(0),
            "captioner.keep",
            0,
            "it must be at least 1; a job without captions has no models.captioner",
        ),
        rule(!is_share(most), "captioner.max_repetition", most, "a share lies between 0 and 1"),
    ]
}

/// The captions of a job come from a checkpoint, from an endpoint, or there are none.
fn origin(settings: &Settings) -> [Rule; 3] {
    let Settings { models, captioner, .. } = settings;
    let endpoint = captioner.endpoint.as_deref();
    let is_none = models.captioner.is_none() && endpoint.is_none();
    let orphan = [("captioner.model", &captioner.model), ("captioner.api_key_env", &captioner.api_key_env)];
    let orphan = orphan.into_iter().find(|(_, value)| endpoint.is_none() && value.is_some());
    let (key, value) = orphan.map_or(("", ""), |(key, value)| (key, value.as_deref().unwrap_or_default()));
    [
        rule(
            models.captioner.is_some() && endpoint.is_some(),
            "captioner.endpoint",
            endpoint.unwrap_or_default(),
            "models.captioner is set too, and captions have one origin: remove one of them",
        ),
        rule(orphan.is_some(), key, value, "it needs captioner.endpoint"),
        rule(
            is_none && captioner.when != When::Always,
            "captioner.when",
            "no_text_kept",
            "the job has no captioner: set models.captioner or captioner.endpoint",
        ),
    ]
}

fn endpoint(captioner: &Captioner) -> Vec<Rule> {
    let Some(endpoint) = captioner.endpoint.as_deref() else { return Vec::new() };
    let is_http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
    let prompt = captioner.prompt.as_str();
    vec![
        rule(!is_http, "captioner.endpoint", endpoint, "it must be a URL as http://127.0.0.1:8000/v1"),
        rule(
            captioner.model.as_deref().is_none_or(str::is_empty),
            "captioner.model",
            "\"\"",
            "an endpoint may serve several models: name the one that writes the captions",
        ),
        rule(
            prompt == Captioner::default().prompt || prompt.trim().is_empty(),
            "captioner.prompt",
            format!("{prompt:?}"),
            "an endpoint needs an instruction, for example \"Describe this picture in one sentence.\"",
        ),
        rule(
            captioner.method == Method::Beam,
            "captioner.method",
            "beam",
            "an endpoint knows nucleus and greedy only",
        ),
        rule(captioner.max_tokens == 0, "captioner.max_tokens", 0, AT_LEAST_ONE),
        rule(
            !(1..=1024).contains(&captioner.concurrency),
            "captioner.concurrency",
            captioner.concurrency,
            "from 1 to 1024 requests",
        ),
        rule(captioner.request_seconds == 0, "captioner.request_seconds", 0, AT_LEAST_ONE),
    ]
}

const AT_LEAST_ONE: &str = "it must be at least 1";

#[cfg(test)]
mod tests {
    use crate::settings::parse;

    const START: &str = "[job]\nurl='/j'\n[input]\nurl='/i'\n[models]\nfilter='/f'\n";
    const ENDPOINT: &str =
        "[captioner]\nendpoint='http://127.0.0.1:8000/v1'\nmodel='m'\nprompt='Describe.'\n";

    #[test]
    fn captions_come_from_a_checkpoint_from_an_endpoint_or_there_are_none() {
        for text in [START.to_owned(), format!("{START}captioner='/c'\n"), format!("{START}{ENDPOINT}")] {
            parse(&text, &[]).unwrap();
        }
        for (text, key) in [
            (format!("{START}captioner='/c'\n{ENDPOINT}"), "captioner.endpoint"),
            (format!("{START}[captioner]\nmodel='m'\n"), "captioner.model = m"),
            (format!("{START}[captioner]\nwhen='no_text_kept'\n"), "captioner.when"),
        ] {
            let error = parse(&text, &[]).unwrap_err().to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }

    #[test]
    fn an_endpoint_needs_a_model_and_an_instruction() {
        let text = format!("{START}{ENDPOINT}");
        for (entry, key) in [
            ("captioner.endpoint=ftp://host/v1", "captioner.endpoint"),
            ("captioner.model=\"\"", "captioner.model"),
            ("captioner.prompt=\"a picture of \"", "captioner.prompt"),
            ("captioner.method=beam", "captioner.method"),
            ("captioner.concurrency=0", "captioner.concurrency"),
            ("captioner.request_seconds=0", "captioner.request_seconds"),
            ("captioner.keep=0", "captioner.keep"),
            ("captioner.max_repetition=1.5", "captioner.max_repetition"),
            ("filter.languages=[\"en\", \"english\"]", "filter.languages = english"),
        ] {
            let error = parse(&text, &[entry.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(key), "{entry}: {error}");
        }
    }

    #[test]
    fn settings_without_the_newer_keys_are_written_as_before() {
        let settings = parse(&format!("{START}captioner='/c'\n"), &[]).unwrap();
        let written = serde_json::to_string(&settings).unwrap();
        for key in ["when", "keep", "max_repetition", "endpoint", "model\"", "max_tokens", "languages"] {
            assert!(!written.contains(key), "{key}: {written}");
        }
        assert!(written.contains("\"captioner\":\"/c\""), "{written}");
    }
}
