//! A row of the pairs as a sample of a WebDataset tar: its name, and the record in its `.json`.
//!
//! The record has the columns of the table except the image's bytes, and the pass-through columns by name, in
//! JSON. Its numbers are those of the table: scores are f32 numbers, written with the digits of f64.

use super::{PairsRow, PairsText, VERSION};
use crate::hash::sha256_hex;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Deserializer, Map, Value, json};
use std::borrow::Cow;

/// Fields of the record that are not columns of the table. A pass-through column cannot have these names.
pub const SAMPLE_FIELDS: [&str; 2] = ["version", "path"];

/// Fields of the record that are not pass-through columns.
const OWN: [&str; 6] = ["version", "key", "path", "width", "height", "texts"];

/// Name of the sample of a row of an input file. Names are unique in a job, and sorted names of a shard have
/// the order of the input. The shard's id would do too, but it depends on the file's ETag: a job over a copy
/// of the input would write other bytes.
pub fn sample_name(file: &str, row: u64) -> String {
    format!("{}-{row:012}", &sha256_hex(file.as_bytes())[..16])
}

/// The text in the sample's `.txt`: the text with the highest P(match). Of equal scores the first text, which
/// is one of the input if there is one.
pub fn best_text<'a>(texts: &[PairsText<'a>]) -> Option<&'a str> {
    let best = texts.iter().rev().max_by(|a, b| a.itm.total_cmp(&b.itm));
    best.map(|text| text.text)
}

/// Encodes the record of a row with its pass-through columns.
pub fn encode_sample(row: &PairsRow, passthrough: Map<String, Value>) -> Vec<u8> {
    let text = |of: &PairsText| {
        let mut scored = json!({"source": of.source, "text": of.text, "itm": of.itm, "itc": of.itc});
        of.clip.iter().for_each(|clip| scored["clip"] = json!(clip));
        scored
    };
    let own = [
        ("version", json!(VERSION)),
        ("key", json!(row.key)),
        ("path", json!(row.path)),
        ("width", json!(row.width)),
        ("height", json!(row.height)),
        ("texts", row.texts.iter().map(text).collect()),
    ];
    let mut record = passthrough;
    record.extend(own.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(record).to_string().into_bytes()
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    record: Record,
    /// The pass-through columns.
    pub passthrough: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Record {
    key: Option<String>,
    path: Option<String>,
    width: u32,
    height: u32,
    texts: Vec<Text>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Text {
    source: String,
    text: String,
    itm: f64,
    itc: Option<f64>,
    /// Missing without CLIP.
    clip: Option<f64>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Sample {
    /// Decodes a record.
    ///
    /// # Errors
    /// The fault of a record that [`encode_sample`] did not write, or that a newer version wrote.
    pub fn decode(json: &[u8]) -> Result<Self, String> {
        let fault = |error: serde_json::Error| error.to_string();
        let Versioned { version } = serde_json::from_slice(json).map_err(fault)?;
        if version > VERSION {
            return Err(format!("it has version {version}, written by a newer capfilt"));
        }
        let record = serde_json::from_slice(json).map_err(fault)?;
        let passed = fields(json).ok_or("it is not a JSON object")?;
        let passed = passed.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        let passthrough: Result<_, _> =
            passed.map(|(name, json)| value(json).map(|value| (name, value))).collect();
        Ok(Self { record, passthrough: passthrough.map_err(fault)? })
    }

    /// The row of the record, with the image of the sample.
    pub fn row<'a>(&'a self, image: Option<&'a [u8]>) -> PairsRow<'a> {
        let Record { key, path, width, height, texts } = &self.record;
        // Both conversions are exact: the number was an f32, and a parsed f64 is off by a few units in its
        // last place, 2²⁹ times as precise.
        let text = |of: &'a Text| PairsText {
            source: &of.source,
            text: &of.text,
            itm: of.itm as f32,
            itc: of.itc.map(|itc| itc as f32),
            clip: of.clip.map(|clip| clip as f32),
        };
        PairsRow {
            key: key.as_deref(),
            image,
            path: path.as_deref().map(Cow::Borrowed),
            width: *width,
            height: *height,
            texts: texts.iter().map(text).collect(),
        }
    }
}

/// A value, with floating-point numbers as they were written: `serde_json` reads them to the unit in the last
/// place only with a feature that would slow down every other record.
fn value(json: &[u8]) -> Result<Value, serde_json::Error> {
    let value: Value = serde_json::from_slice(json)?;
    let exact = || std::str::from_utf8(json).ok()?.trim().parse::<f64>().ok();
    Ok(match value.is_f64().then(exact).flatten() {
        Some(number) => Value::from(number),
        None => value,
    })
}

/// Names of an object's fields with the JSON of their values.
fn fields(json: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let mut rest = json.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    let mut fields = Vec::new();
    while !rest.starts_with(b"}") {
        let (name, after) = first::<String>(rest)?;
        let value = after.trim_ascii_start().strip_prefix(b":")?;
        let (_, after) = first::<IgnoredAny>(value)?;
        fields.push((name, &value[..value.len() - after.len()]));
        rest = after.trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
    Some(fields)
}

/// The JSON value at the beginning, and the bytes behind it.
fn first<T: DeserializeOwned>(json: &[u8]) -> Option<(T, &[u8])> {
    let mut values = Deserializer::from_slice(json).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, &json[values.byte_offset()..]))
}

#[cfg(test)]
mod tests;
