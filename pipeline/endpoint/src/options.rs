//! Options of an endpoint, from a job's settings and the environment.

use crate::error::EndpointError;
use capfilt_pipeline::image::ImageLimits;
use capfilt_schemas::settings::{Method, Settings};
use std::time::Duration;
use url::Url;

/// Environment variable with the address of the endpoint on this machine, instead of `captioner.endpoint`.
pub const ADDRESS: &str = "CAPFILT_CAPTIONER_ENDPOINT";

/// First wait before a request is repeated; it doubles up to a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Address, model and limits of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// Base URL, without the final slash: `http://127.0.0.1:8000/v1`.
    pub url: Url,
    /// Name of the model.
    pub model: String,
    /// Key of the endpoint; never logged.
    pub api_key: Option<Secret>,
    /// Instruction before each image.
    pub prompt: String,
    /// Choice of tokens.
    pub sampling: Sampling,
    /// Most tokens of a caption.
    pub max_tokens: u32,
    /// Requests that are under way at once. Memory: each holds an encoded image and its base64 text, 2.4
    /// times `limits.image_bytes`.
    pub concurrency: usize,
    /// Time limit of one request.
    pub request_time: Duration,
    /// Longest wait for an endpoint that is unavailable.
    pub outage: Duration,
    /// First wait before a request is repeated.
    pub first_pause: Duration,
    /// Bytes of the longest caption.
    pub text_bytes: usize,
    /// Limits of images that are encoded again.
    pub images: ImageLimits,
}

/// Choice of tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most probable token: temperature 0.
    Greedy,
    /// Nucleus sampling with this sum of probabilities, at temperature 1.
    Nucleus(f64),
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret")
    }
}

impl EndpointOptions {
    /// Options of a job; `None` if the job has no endpoint. `variable` reads the environment.
    ///
    /// # Errors
    /// An address that is not a URL, and a missing key.
    pub fn of(
        settings: &Settings,
        outage: Duration,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, EndpointError> {
        let captioner = &settings.captioner;
        let Some(endpoint) = &captioner.endpoint else { return Ok(None) };
        let endpoint = variable(ADDRESS).unwrap_or_else(|| endpoint.clone());
        let api_key = match &captioner.api_key_env {
            Some(name) => {
                Some(Secret(variable(name).ok_or_else(|| EndpointError::NoKey { variable: name.clone() })?))
            }
            None => None,
        };
        let limits = &settings.limits;
        Ok(Some(Self {
            url: parse(&endpoint)?,
            model: captioner.model.clone().unwrap_or_default(),
            api_key,
            prompt: captioner.prompt.clone(),
            sampling: match captioner.method {
                Method::Nucleus => Sampling::Nucleus(captioner.top_p),
                Method::Greedy | Method::Beam => Sampling::Greedy,
            },
            max_tokens: captioner.max_tokens,
            concurrency: captioner.concurrency as usize,
            request_time: Duration::from_secs(captioner.request_seconds.into()),
            outage,
            first_pause: FIRST_PAUSE,
            text_bytes: limits.text_bytes.0 as usize,
            images: ImageLimits { exif_rotation: settings.input.exif_rotation, ..ImageLimits::default() }
                .with(limits),
        }))
    }

    /// Address without credentials, for messages.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        // A URL of HTTP always has a host, so these succeed.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }
}

fn parse(endpoint: &str) -> Result<Url, EndpointError> {
    let wrong = |why: String| EndpointError::Url { url: endpoint.to_owned(), why };
    let url = Url::parse(endpoint.trim_end_matches('/')).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(wrong(format!("its scheme is {other}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use capfilt_schemas::settings::parse as settings;

    fn options(extra: &str, variables: &[(&str, &str)]) -> Result<Option<EndpointOptions>, EndpointError> {
        let text = format!("[job]\nurl='/j'\n[input]\nurl='/i'\n[models]\nfilter='/f'\n[captioner]\n{extra}");
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        EndpointOptions::of(&settings(&text, &[]).unwrap(), Duration::from_secs(9), variable)
    }

    const ENDPOINT: &str = "endpoint='http://user:pass@host:8000/v1/'\nmodel='m'\nprompt='Describe.'\n";

    #[test]
    fn a_job_without_an_endpoint_has_no_options() {
        assert!(options("", &[]).unwrap().is_none());
    }

    #[test]
    fn the_key_comes_from_the_named_variable_and_is_never_shown() {
        let with_key = format!("{ENDPOINT}api_key_env='KEY'\n");
        let found = options(&with_key, &[("KEY", "hidden")]).unwrap().unwrap();
        assert_eq!(found.api_key.as_ref().unwrap().expose(), "hidden");
        assert!(!format!("{:?}", found.api_key).contains("hidden"));
        assert_eq!(found.shown(), "http://host:8000/v1");
        let missing = options(&with_key, &[]).unwrap_err();
        assert_eq!(missing, EndpointError::NoKey { variable: "KEY".to_owned() });
    }

    #[test]
    fn a_machine_may_have_the_endpoint_at_another_address() {
        let found = options(ENDPOINT, &[(ADDRESS, "http://127.0.0.1:9/v1")]).unwrap().unwrap();
        assert_eq!(found.shown(), "http://127.0.0.1:9/v1");
        assert!(options(ENDPOINT, &[(ADDRESS, "unix:/socket")]).is_err());
    }
}
