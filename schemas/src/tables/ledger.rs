//! The ledger: one row per input row, kept or not, so that another threshold needs no GPU.

use super::cells::{Columns as _, field, items, number, text};
use crate::status::{RowStatus, WebStatus};
use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, BooleanArray, BooleanBuilder, Float32Array, Float32Builder,
        ListBuilder, RecordBatch, StringArray, StringBuilder, StructArray, StructBuilder, UInt32Array,
        UInt64Array,
    },
    datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt32Type, UInt64Type},
    error::ArrowError,
};
use std::{collections::HashMap, sync::Arc};

/// Version of the ledger's columns and of their meaning.
pub const VERSION: u32 = 1;

/// One row of `ledger.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The input's key of the row, as text; null without a key.
    pub key: Option<String>,
    /// Address: path of the file below the input's URL.
    pub file: String,
    /// Address: number of the row within the file, from 0.
    pub row: u64,
    /// Digest of the image's bytes; null without bytes.
    pub image_sha256: Option<[u8; 32]>,
    /// Size in pixels as stored in the file (before resizing); null if the image was not decoded.
    pub width: Option<u32>,
    /// As `width`.
    pub height: Option<u32>,
    /// Outcome of the row.
    pub status: RowStatus,
    /// The unchanged web text.
    pub web_text: Option<String>,
    /// Outcome of the web text.
    pub web_status: WebStatus,
    /// Scores of the web text; `None` if the text was not judged.
    pub web_score: Option<Scored>,
    /// Generated captions, in the order of their generation.
    pub synthetic: Vec<SyntheticText>,
    /// P(match) of this image and the text of another row: the negative control.
    pub control_itm: Option<f32>,
    /// For people: the reason why the row was not judged, and the cells that could not be read and count as
    /// null.
    pub detail: Option<String>,
}

/// Scores and verdict of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// P(match), 0 to 1.
    pub itm: f32,
    /// Cosine, −1 to 1.
    pub itc: f32,
    /// Whether P(match) reaches the threshold.
    pub kept: bool,
}

/// A generated caption with its scores; `None` if the caption is empty and cannot be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticText {
    /// The caption without the prompt.
    pub text: String,
    /// Scores of the caption.
    pub scored: Option<Scored>,
}

impl LedgerRow {
    /// A row without image and text, at its address.
    pub fn missing(file: &str, row: u64) -> Self {
        Self {
            key: None,
            file: file.to_owned(),
            row,
            image_sha256: None,
            width: None,
            height: None,
            status: RowStatus::ImageMissing,
            web_text: None,
            web_status: WebStatus::NotReached,
            web_score: None,
            synthetic: Vec::new(),
            control_itm: None,
            detail: None,
        }
    }

    /// Whether the row keeps a text.
    pub fn keeps_a_text(&self) -> bool {
        self.web_score.is_some_and(|s| s.kept)
            || self.synthetic.iter().any(|s| s.scored.is_some_and(|s| s.kept))
    }
}

/// Columns of `ledger.parquet`, in input order.
pub fn schema() -> SchemaRef {
    let nullable = |name: &str, kind: DataType| Field::new(name, kind, true);
    let required = |name: &str, kind: DataType| Field::new(name, kind, false);
    let metadata = HashMap::from([("capfilt.ledger.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(
        vec![
            nullable("key", DataType::Utf8),
            required("file", DataType::Utf8),
            required("row", DataType::UInt64),
            nullable("image_sha256", DataType::Utf8),
            nullable("width", DataType::UInt32),
            nullable("height", DataType::UInt32),
            required("status", DataType::Utf8),
            nullable("web_text", DataType::Utf8),
            required("web_status", DataType::Utf8),
            nullable("web_itm", DataType::Float32),
            nullable("web_itc", DataType::Float32),
            nullable("web_kept", DataType::Boolean),
            required("synthetic", DataType::List(synthetic_item())),
            nullable("control_itm", DataType::Float32),
            nullable("detail", DataType::Utf8),
        ],
        metadata,
    ))
}

/// The list item of column `synthetic`.
fn synthetic_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(synthetic_fields()), false))
}

/// Fields of one generated caption.
fn synthetic_fields() -> Fields {
    Fields::from(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("itm", DataType::Float32, true),
        Field::new("itc", DataType::Float32, true),
        Field::new("kept", DataType::Boolean, false),
    ])
}

/// Encodes rows as a batch.
///
/// # Errors
/// More bytes of text than the columns' 32-bit offsets can address.
pub fn batch(rows: &[LedgerRow]) -> Result<RecordBatch, ArrowError> {
    let texts = |cell: fn(&LedgerRow) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<StringArray>())
    };
    let sizes = |cell: fn(&LedgerRow) -> Option<u32>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<UInt32Array>())
    };
    let scores = |cell: fn(&LedgerRow) -> Option<f32>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<Float32Array>())
    };
    let hashes: StringArray = rows.iter().map(|row| row.image_sha256.map(hex::encode)).collect();
    let kept: BooleanArray = rows.iter().map(|row| row.web_score.map(|score| score.kept)).collect();
    let columns: Vec<ArrayRef> = vec![
        texts(|row| row.key.as_deref()),
        texts(|row| Some(&row.file)),
        Arc::new(rows.iter().map(|row| row.row).collect::<UInt64Array>()),
        Arc::new(hashes),
        sizes(|row| row.width),
        sizes(|row| row.height),
        texts(|row| Some(row.status.as_str())),
        texts(|row| row.web_text.as_deref()),
        texts(|row| Some(row.web_status.as_str())),
        scores(|row| row.web_score.map(|score| score.itm)),
        scores(|row| row.web_score.map(|score| score.itc)),
        Arc::new(kept),
        synthetic(rows),
        scores(|row| row.control_itm),
        texts(|row| row.detail.as_deref()),
    ];
    RecordBatch::try_new(schema(), columns)
}

fn synthetic(rows: &[LedgerRow]) -> ArrayRef {
    let fields = StructBuilder::from_fields(synthetic_fields(), rows.len());
    let mut list = ListBuilder::new(fields).with_field(synthetic_item());
    for row in rows {
        for caption in &row.synthetic {
            let item = list.values();
            field::<StringBuilder>(item, 0).append_value(&caption.text);
            field::<Float32Builder>(item, 1).append_option(caption.scored.map(|score| score.itm));
            field::<Float32Builder>(item, 2).append_option(caption.scored.map(|score| score.itc));
            field::<BooleanBuilder>(item, 3).append_value(caption.scored.is_some_and(|score| score.kept));
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

/// Cells of a row as stored: names and digests are not parsed, and verdicts may contradict the scores. Each
/// field is the column of its name; `web_score` is `web_itm`, `web_itc` and `web_kept`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the columns' meaning is at `LedgerRow`
pub struct StoredRow<'a> {
    pub key: Option<&'a str>,
    pub file: &'a str,
    pub row: u64,
    pub image_sha256: Option<&'a str>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub status: &'a str,
    pub web_text: Option<&'a str>,
    pub web_status: &'a str,
    pub web_score: StoredScore,
    pub synthetic: Vec<StoredText<'a>>,
    pub control_itm: Option<f32>,
    pub detail: Option<&'a str>,
}

/// Cells of a caption as stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredText<'a> {
    /// Field `text`.
    pub text: &'a str,
    /// Fields `itm`, `itc` and `kept`.
    pub score: StoredScore,
}

/// Scores and verdict as stored; a null verdict is not a kept text.
#[derive(Debug, Clone, Copy)]
pub struct StoredScore {
    /// P(match).
    pub itm: Option<f32>,
    /// Cosine.
    pub itc: Option<f32>,
    /// Whether the text is kept.
    pub kept: bool,
}

impl StoredScore {
    fn parse(self) -> Option<Scored> {
        let itc = self.itc.unwrap_or_default();
        self.itm.map(|itm| Scored { itm, itc, kept: self.kept })
    }
}

impl StoredRow<'_> {
    fn parse(self) -> Result<LedgerRow, String> {
        let captions = self.synthetic.into_iter();
        let caption =
            |one: StoredText| SyntheticText { text: one.text.to_owned(), scored: one.score.parse() };
        let unknown = |status: &str| format!("unknown status `{status}`");
        Ok(LedgerRow {
            key: self.key.map(str::to_owned),
            file: self.file.to_owned(),
            row: self.row,
            image_sha256: self.image_sha256.map(parse_digest).transpose()?,
            width: self.width,
            height: self.height,
            status: RowStatus::parse(self.status).ok_or_else(|| unknown(self.status))?,
            web_text: self.web_text.map(str::to_owned),
            web_status: WebStatus::parse(self.web_status).ok_or_else(|| unknown(self.web_status))?,
            web_score: self.web_score.parse(),
            synthetic: captions.map(caption).collect(),
            control_itm: self.control_itm,
            detail: self.detail.map(str::to_owned),
        })
    }
}

fn parse_digest(text: &str) -> Result<[u8; 32], String> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|error| format!("`{text}` is not a SHA-256: {error}"))?;
    Ok(digest)
}

/// Decodes the rows of a batch that has the columns of [`schema`].
///
/// # Errors
/// A sentence that names the first cell with an unknown status or a malformed digest.
pub fn rows(batch: &RecordBatch) -> Result<Vec<LedgerRow>, String> {
    stored_rows(batch).map(StoredRow::parse).collect()
}

/// Rows of a batch that has the columns of [`schema`], as stored.
pub fn stored_rows(batch: &RecordBatch) -> impl Iterator<Item = StoredRow<'_>> {
    let texts = |name: &str| batch.texts(name);
    let (keys, files, hashes) = (texts("key"), texts("file"), texts("image_sha256"));
    let (statuses, web_texts) = (texts("status"), texts("web_text"));
    let (web_statuses, details) = (texts("web_status"), texts("detail"));
    let numbers = batch.numbers::<UInt64Type>("row");
    let (widths, heights) = (batch.numbers::<UInt32Type>("width"), batch.numbers::<UInt32Type>("height"));
    let web = Scores {
        itm: batch.scores("web_itm"),
        itc: batch.scores("web_itc"),
        kept: batch.verdicts("web_kept"),
    };
    let controls = batch.scores("control_itm");
    let lists = batch.lists("synthetic");
    let captions = Captions::of(lists.values().as_struct());
    (0..batch.num_rows()).map(move |i| StoredRow {
        key: text(keys, i),
        file: files.value(i),
        row: numbers.value(i),
        image_sha256: text(hashes, i),
        width: number(widths, i),
        height: number(heights, i),
        status: statuses.value(i),
        web_text: text(web_texts, i),
        web_status: web_statuses.value(i),
        web_score: web.get(i),
        synthetic: items(lists, i).map(|item| captions.get(item)).collect(),
        control_itm: number(controls, i),
        detail: text(details, i),
    })
}

/// Columns of scores and verdicts.
struct Scores<'a> {
    itm: &'a Float32Array,
    itc: &'a Float32Array,
    kept: &'a BooleanArray,
}

impl Scores<'_> {
    fn get(&self, i: usize) -> StoredScore {
        let kept = self.kept.is_valid(i) && self.kept.value(i);
        StoredScore { itm: number(self.itm, i), itc: number(self.itc, i), kept }
    }
}

/// Fields of all captions of a batch.
struct Captions<'a> {
    texts: &'a StringArray,
    scores: Scores<'a>,
}

impl<'a> Captions<'a> {
    fn of(items: &'a StructArray) -> Self {
        let scores =
            Scores { itm: items.scores("itm"), itc: items.scores("itc"), kept: items.verdicts("kept") };
        Self { texts: items.texts("text"), scores }
    }

    fn get(&self, i: usize) -> StoredText<'a> {
        StoredText { text: self.texts.value(i), score: self.scores.get(i) }
    }
}

#[cfg(test)]
mod tests;
