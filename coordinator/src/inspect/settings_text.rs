//! Settings of a job over an inspected input, as a file with comments.

use super::Inspected;
use capfilt_schemas::size::ByteSize;
use std::fmt::Write as _;

/// Checkpoints of the settings: folders, URLs, or `hf://owner/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// `models.filter`.
    pub filter: String,
    /// `models.captioner`; without one, no captions are written.
    pub captioner: Option<String>,
}

/// Text of the settings file.
pub fn settings_text(inspected: &Inspected, job_url: &str, models: &Models) -> String {
    let mut text = String::new();
    let Inspected { url, files, bytes, example, format, columns, guess } = inspected;
    let files = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    line(
        &mut text,
        &format!("# Settings of a cleaning job over {files} ({}), the first: {format}.", ByteSize(*bytes)),
    );
    line(&mut text, "# `capfilt init --print-all job` prints every key with its default.");
    line(&mut text, "\n[job]");
    line(&mut text, &format!("url = {}  # everything that the job writes", quoted(job_url)));
    line(&mut text, "\n[input]");
    line(&mut text, &format!("url = {}", quoted(url)));
    line(&mut text, &format!("# Columns of {}:", one_line(example)));
    for column in columns {
        line(&mut text, &format!("#   {} ({})", one_line(&column.name), column.kind.name()));
    }
    let unknown = "  # no column fits: name one of the columns above";
    let mark = |is_known: bool| if is_known { "" } else { unknown };
    line(&mut text, &format!("image = {}{}", quoted(&guess.image), mark(!guess.image.is_empty())));
    let texts = match guess.texts.as_slice() {
        [] => quoted("caption"),
        [one] => quoted(one),
        several => format!("[{}]", several.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")),
    };
    line(&mut text, &format!("text = {texts}{}", mark(!guess.texts.is_empty())));
    if let Some(key) = &guess.key {
        line(&mut text, &format!("key = {}", quoted(key)));
    }
    let passthrough: Vec<_> = guess.passthrough.iter().map(|name| quoted(name)).collect();
    line(&mut text, &format!("passthrough = [{}]  # columns to copy unchanged", passthrough.join(", ")));
    if guess.fetches {
        line(
            &mut text,
            "\n[links]\nfetch = true  # limits, private networks, opt-outs: the book's page Links",
        );
        guess.digest.iter().for_each(|digest| line(&mut text, &format!("digest = {}", quoted(digest))));
    }
    line(&mut text, "\n[models]");
    line(&mut text, &format!("filter = {}", quoted(&models.filter)));
    match &models.captioner {
        Some(captioner) => line(&mut text, &format!("captioner = {}", quoted(captioner))),
        None => line(&mut text, "# Without a captioner, the job judges the texts of the input."),
    }
    line(&mut text, "\n[filter]");
    line(&mut text, "web_threshold = 0.5        # least P(match) of a kept text of the input");
    if models.captioner.is_some() {
        line(&mut text, "synthetic_threshold = 0.5  # least P(match) of a kept caption");
    } else {
        line(&mut text, "\n[captioner]\ncaptions = 0");
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A TOML string: JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A name in a comment, which must not end the line.
fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::inspect::{Column, Guess, Kind};
    use capfilt_schemas::settings;

    fn inspected(name: &str) -> Inspected {
        let columns = vec![Column { name: name.to_owned(), kind: Kind::Text }];
        let texts = vec![name.to_owned(), "caption".to_owned()];
        let guess = Guess { image: "jpg".to_owned(), texts, fetches: true, ..Guess::default() };
        let (url, example) = ("/data/web".to_owned(), "a.parquet".to_owned());
        Inspected { url, files: 2, bytes: 5 << 20, example, format: "Parquet", columns, guess }
    }

    #[test]
    fn the_text_is_a_settings_file_whatever_the_names_are() {
        let filter = "hf://Salesforce/blip-itm-base-coco".to_owned();
        for name in ["text", "a \"b\" \\ c", "two\nlines = 1", "tab\t", "日本", "del\u{7f}"] {
            for captioner in [None, Some("captioner".to_owned())] {
                let models = Models { filter: filter.clone(), captioner: captioner.clone() };
                let text = settings_text(&inspected(name), "s3://b/job", &models);
                let parsed = settings::parse(&text, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert_eq!(parsed.input.text.names(), [name, "caption"], "{text}");
                assert!(parsed.links.fetch);
                assert_eq!(parsed.captioner.captions, u32::from(captioner.is_some()));
            }
        }
    }
}
