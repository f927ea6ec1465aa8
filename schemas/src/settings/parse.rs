//! Parses settings from TOML and `-s key=value` overrides, with errors that name the key and the nearest
//! known one.

use super::{Limits, Settings, SettingsError, job_rules};
use toml::{Table, Value};

/// Reads settings from a TOML text; later overrides take precedence over earlier ones and over the text.
pub fn parse(text: &str, overrides: &[String]) -> Result<Settings, SettingsError> {
    let mut table: Table = text.parse().map_err(SettingsError::Syntax)?;
    for entry in overrides {
        apply_override(&mut table, entry)?;
    }
    let settings = Settings::deserialize_named(table)?;
    job_rules::check(&settings)?;
    Ok(settings)
}

pub(super) fn apply_override(table: &mut Table, entry: &str) -> Result<(), SettingsError> {
    let wrong = || SettingsError::Override(entry.to_owned());
    let (path, value) = entry.split_once('=').ok_or_else(wrong)?;
    let (section, key) = path.trim().split_once('.').ok_or_else(wrong)?;
    // A value that is not TOML (number, list, true, "quoted") is a text, so that URLs need no quotes in a
    // shell.
    let value = format!("value = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(path_value(entry)));
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    section.as_table_mut().ok_or_else(wrong)?.insert(key.to_owned(), value);
    Ok(())
}

fn path_value(entry: &str) -> String {
    entry.split_once('=').map_or("", |(_, value)| value).trim().to_owned()
}

impl Settings {
    /// These limits with overrides of the form `limits.key=value`.
    ///
    /// # Errors
    /// An override of another key, and an override that [`parse`] would refuse.
    pub fn limits_with(&self, overrides: &[String]) -> Result<Limits, SettingsError> {
        if let Some(other) = overrides.iter().find(|entry| !entry.trim_start().starts_with("limits.")) {
            return Err(SettingsError::Content(format!(
                "`{other}`: only limits.* can be set for an existing job"
            )));
        }
        let text = toml::to_string(self).map_err(|error| SettingsError::Content(error.to_string()))?;
        Ok(parse(&text, overrides)?.limits)
    }

    fn deserialize_named(table: Table) -> Result<Self, SettingsError> {
        let text = toml::to_string(&table).map_err(|error| SettingsError::Content(error.to_string()))?;
        toml::from_str(&text).map_err(|error| SettingsError::Content(explain(&error, &text)))
    }
}

/// The parser's message with its table and, for an unknown key, the most similar known key.
pub(super) fn explain(error: &toml::de::Error, text: &str) -> String {
    let message = error.message();
    let section = error.span().and_then(|span| section_at(text, span.start));
    let place = section.map(|name| format!("in [{name}]: ")).unwrap_or_default();
    let mut words = message.split('`').skip(1).step_by(2);
    let nearest = match (message.starts_with("unknown field"), words.next()) {
        (true, Some(unknown)) => {
            words.max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)))
        }
        _ => None,
    };
    match nearest {
        Some(known) => {
            format!(
                "{place}{}; did you mean `{known}`?",
                message.split(", expected").next().unwrap_or(message)
            )
        }
        None => format!("{place}{message}"),
    }
}

fn section_at(text: &str, at: usize) -> Option<&str> {
    let header = text.get(..at)?.lines().rev().find(|line| line.starts_with('['))?;
    Some(header.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Auto, Method, PairsFormat};

    const MINIMAL: &str = "[job]\nurl='/j'\n[input]\nurl='/i'\n[models]\ncaptioner='/c'\nfilter='/f'\n";

    #[test]
    fn everything_but_the_urls_has_a_default() {
        let settings = parse(MINIMAL, &[]).unwrap();
        assert_eq!(settings.input.image, "jpg");
        assert_eq!(settings.captioner.method, Method::Nucleus);
        assert_eq!(settings.workers.batch, Auto::Auto);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let error = parse(&format!("{MINIMAL}[filter2]\n"), &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean `filter`"), "{error}");
        let error = parse(MINIMAL, &["filter.web_treshold=0.3".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `web_threshold`") && error.contains("[filter]"), "{error}");
    }

    #[test]
    fn an_override_wins_and_may_be_a_bare_text() {
        let overrides = [
            "job.url=s3://bucket/jobs/1",
            "workers.batch=4",
            "workers.devices=[\"cpu\", \"cpu\"]",
            "filter.web_threshold=0.25",
        ];
        let settings = parse(MINIMAL, &overrides.map(str::to_owned)).unwrap();
        assert_eq!(settings.job.url, "s3://bucket/jobs/1");
        assert_eq!(settings.workers.batch, Auto::Fixed(4));
        assert_eq!(settings.workers.devices.len(), 2);
        assert_eq!(settings.filter.web_threshold, 0.25);
        assert!(parse(MINIMAL, &["nonsense".to_owned()]).is_err());
    }

    #[test]
    fn a_text_column_has_its_threshold_or_that_of_all_columns() {
        let overrides =
            ["input.text=[\"alt\", \"json[long]\"]", "filter.thresholds={ \"json[long]\" = 0.25 }"];
        let filter = parse(MINIMAL, &overrides.map(str::to_owned)).unwrap().filter;
        let thresholds = ["alt", "json[long]", "web", "synthetic"].map(|source| filter.threshold(source));
        assert_eq!(thresholds, [0.5, 0.25, 0.5, 0.5]);
    }

    #[test]
    fn a_tar_has_images_and_its_own_fields() {
        let parsed = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            parse(MINIMAL, &entries).map_err(|error| error.to_string())
        };
        let tar = "output.format=webdataset";
        assert_eq!(parsed(&[tar]).unwrap().output.format, PairsFormat::Webdataset);
        let error = parsed(&[tar, "output.images=reference"]).unwrap_err();
        assert!(error.contains("output.images = reference: a sample of a tar contains its image"), "{error}");
        for name in ["version", "path"] {
            let passed = format!("input.passthrough=[\"{name}\"]");
            assert!(parsed(&[&passed]).is_ok());
            let error = parsed(&[tar, &passed]).unwrap_err();
            assert!(error.contains("the .json of a sample has a field"), "{error}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        for (entry, key) in [
            ("filter.web_threshold=1.5", "filter.web_threshold"),
            ("captioner.top_p=0.0", "captioner.top_p"),
            ("shards.rows=0", "shards.rows"),
            ("limits.image_bytes=2 GiB", "limits.image_bytes = 2 GiB"),
            ("input.passthrough=[\"url\", \"width\"]", "width: the pairs table has"),
            ("input.passthrough=[\"url\", \"url\"]", "url: it is named twice"),
            ("input.text=[\"caption\", \"caption\"]", "caption: it is named twice"),
            ("input.text=synthetic", "the source of generated captions"),
            ("filter.thresholds={ alt = 0.5 }", "alt: it is not a column of input.text"),
            ("filter.thresholds={ caption = 5 }", "a probability lies between"),
            ("limits.texts=0", "limits.texts = 0"),
            ("workers.batch=0", "number of at least 1"),
            ("models.preset=\"x\"", "hf"),
            ("output.format=tar", "in [output]: unknown variant `tar`, expected `parquet` or `webdataset`"),
        ] {
            let error = parse(MINIMAL, &[entry.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(key), "{entry}: {error}");
        }
    }
}
