//! The ledger: one row per input row, kept or not, so that another threshold needs no GPU.

mod stored;
mod version_1;

pub use stored::{StoredRow, StoredScore, StoredText, rows, stored_rows};

use super::{
    cells::field,
    embedding::{self, Embedding},
    texts::{LedgerText, OptionalColumns, Score},
};
use crate::status::RowStatus;
use arrow::{
    array::{
        ArrayRef, AsArray as _, BooleanBuilder, Float32Array, Float32Builder, ListArray, ListBuilder,
        RecordBatch, StringArray, StringBuilder, StructArray, StructBuilder, UInt32Array, UInt64Array,
    },
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    error::ArrowError,
};
use std::{collections::HashMap, sync::Arc};

/// Version of the ledger's columns and of their meaning. Version 1 had separate columns for one text of the
/// input, and a list of captions.
pub const VERSION: u32 = 2;

/// Column with the CLIP score of the negative control, in a job with `models.clip`.
pub const CONTROL_CLIP: &str = "control_clip";

/// One row of `ledger.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The input's key of the row, as text; null without a key.
    pub key: Option<String>,
    /// Address: path of the file below the input's URL.
    pub file: String,
    /// Address: number of the row within the file, from 0.
    pub row: u64,
    /// Name of the image inside its file or at its origin: a member of a tar, an image of a folder, a URL.
    pub member: Option<String>,
    /// Digest of the image's bytes; null without bytes.
    pub image_sha256: Option<[u8; 32]>,
    /// Perceptual hash of the image; null if it was not computed.
    pub image_hash: Option<u64>,
    /// Size in pixels as stored in the file (before resizing); null if the image was not decoded.
    pub width: Option<u32>,
    /// As `width`.
    pub height: Option<u32>,
    /// Vector of the image, in a job with `output.embeddings`.
    pub image_embedding: Option<Embedding>,
    /// Outcome of the row.
    pub status: RowStatus,
    /// Texts of the input, by text column, then generated captions in the order of their generation.
    pub texts: Vec<LedgerText>,
    /// P(match) of this image and the text of another row: the negative control.
    pub control_itm: Option<f32>,
    /// CLIP score of the negative control, in a job with `models.clip`.
    pub control_clip: Option<f32>,
    /// For people: the reason why the row was not judged, and the cells that could not be read and count as
    /// null.
    pub detail: Option<String>,
}

impl LedgerRow {
    /// A row without image and texts, at its address.
    pub fn missing(file: &str, row: u64) -> Self {
        Self {
            key: None,
            file: file.to_owned(),
            row,
            member: None,
            image_sha256: None,
            image_hash: None,
            image_embedding: None,
            width: None,
            height: None,
            status: RowStatus::ImageMissing,
            texts: Vec::new(),
            control_itm: None,
            control_clip: None,
            detail: None,
        }
    }

    /// The kept texts, in the order of the ledger.
    pub fn kept(&self) -> impl Iterator<Item = &LedgerText> {
        self.texts.iter().filter(|text| text.is_kept())
    }

    /// Whether the row keeps a text.
    pub fn keeps_a_text(&self) -> bool {
        self.kept().next().is_some()
    }

    /// The generated captions.
    pub fn captions(&self) -> impl Iterator<Item = &LedgerText> {
        self.texts.iter().filter(|text| text.is_synthetic())
    }

    /// The texts of the input.
    pub fn inputs(&self) -> impl Iterator<Item = &LedgerText> {
        self.texts.iter().filter(|text| !text.is_synthetic())
    }

    /// Gives texts of one source another source: tables of version 1 do not contain the column's name.
    pub fn rename_source(&mut self, from: &str, to: &Arc<str>) {
        let renamed = self.texts.iter_mut().filter(|text| &*text.source == from);
        renamed.for_each(|text| text.source = Arc::clone(to));
    }
}

/// Columns of `ledger.parquet`, in input order, with optional ones. Without any of these, they are those of
/// [`schema`].
pub fn schema_with(optional: OptionalColumns) -> SchemaRef {
    if optional == OptionalColumns::default() {
        return schema();
    }
    let plain = schema();
    let mut fields: Vec<Arc<Field>> = plain.fields().iter().cloned().collect();
    for field in fields.iter_mut().filter(|field| field.name() == "texts") {
        *field = Arc::new(Field::new("texts", DataType::List(text_item(optional)), false));
    }
    fields.extend(optional.clip.then(|| Arc::new(Field::new(CONTROL_CLIP, DataType::Float32, true))));
    fields.extend(optional.embeddings.map(|width| Arc::new(embedding::field(embedding::IMAGE, width))));
    Arc::new(Schema::new_with_metadata(fields, plain.metadata().clone()))
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
            nullable("member", DataType::Utf8),
            nullable("image_sha256", DataType::Utf8),
            nullable("image_hash", DataType::UInt64),
            nullable("width", DataType::UInt32),
            nullable("height", DataType::UInt32),
            required("status", DataType::Utf8),
            required("texts", DataType::List(text_item(OptionalColumns::default()))),
            nullable("control_itm", DataType::Float32),
            nullable("detail", DataType::Utf8),
        ],
        metadata,
    ))
}

/// The columns to expect in a stored ledger: those of [`schema`], or of version 1.
pub fn schema_of(found: &Schema) -> SchemaRef {
    if version_1::is(found) { version_1::schema() } else { schema() }
}

/// Whether a stored ledger has the columns of version 1.
pub fn is_version_1(found: &Schema) -> bool {
    version_1::is(found)
}

/// The list item of column `texts`.
fn text_item(optional: OptionalColumns) -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(text_fields(optional)), false))
}

/// Fields of one text; the vector is the last one, if there is one.
fn text_fields(optional: OptionalColumns) -> Fields {
    let mut fields = vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("status", DataType::Utf8, false),
    ];
    fields.extend(Score::of(optional.clip).map(|score| score.field(true)));
    fields.extend([
        Field::new("kept", DataType::Boolean, false),
        Field::new("language", DataType::Utf8, true),
        Field::new("repetition", DataType::Float32, true),
    ]);
    fields.extend(optional.embeddings.map(|width| embedding::field(embedding::TEXT, width)));
    fields.into()
}

/// Encodes rows as a batch of [`schema`].
///
/// # Errors
/// As [`batch_with`].
pub fn batch(rows: &[LedgerRow]) -> Result<RecordBatch, ArrowError> {
    batch_with(rows, OptionalColumns::default())
}

/// Encodes rows as a batch of [`schema_with`] optional columns.
///
/// # Errors
/// More bytes of text than the columns' 32-bit offsets can address.
pub fn batch_with(rows: &[LedgerRow], optional: OptionalColumns) -> Result<RecordBatch, ArrowError> {
    let names = |cell: fn(&LedgerRow) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<StringArray>())
    };
    let sizes = |cell: fn(&LedgerRow) -> Option<u32>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<UInt32Array>())
    };
    let hashes: StringArray = rows.iter().map(|row| row.image_sha256.map(hex::encode)).collect();
    let mut columns: Vec<ArrayRef> = vec![
        names(|row| row.key.as_deref()),
        names(|row| Some(&row.file)),
        Arc::new(rows.iter().map(|row| row.row).collect::<UInt64Array>()),
        names(|row| row.member.as_deref()),
        Arc::new(hashes),
        Arc::new(rows.iter().map(|row| row.image_hash).collect::<UInt64Array>()),
        sizes(|row| row.width),
        sizes(|row| row.height),
        names(|row| Some(row.status.as_str())),
        texts(rows, optional)?,
        Arc::new(rows.iter().map(|row| row.control_itm).collect::<Float32Array>()),
        names(|row| row.detail.as_deref()),
    ];
    if optional.clip {
        columns.push(Arc::new(rows.iter().map(|row| row.control_clip).collect::<Float32Array>()));
    }
    let vectors = rows.iter().map(|row| row.image_embedding.as_ref());
    columns.extend(optional.embeddings.map(|width| embedding::column(vectors, width)));
    RecordBatch::try_new(schema_with(optional), columns)
}

fn texts(rows: &[LedgerRow], optional: OptionalColumns) -> Result<ArrayRef, ArrowError> {
    let plain = OptionalColumns { embeddings: None, ..optional };
    let fields = StructBuilder::from_fields(text_fields(plain), rows.len());
    let mut list = ListBuilder::new(fields).with_field(text_item(plain));
    for row in rows {
        row.texts.iter().for_each(|text| append(list.values(), text, optional.clip));
        list.append(true);
    }
    let list = list.finish();
    let Some(width) = optional.embeddings else { return Ok(Arc::new(list)) };
    let (_, offsets, items, nulls) = list.into_parts();
    let (_, mut columns, _) = items.as_struct().clone().into_parts();
    let vectors = rows.iter().flat_map(|row| &row.texts).map(|text| text.embedding.as_ref());
    columns.push(embedding::column(vectors, width));
    let items = StructArray::try_new(text_fields(optional), columns, None)?;
    Ok(Arc::new(ListArray::try_new(text_item(optional), offsets, Arc::new(items), nulls)?))
}

fn append(item: &mut StructBuilder, text: &LedgerText, with_clip: bool) {
    const SCORES: usize = 3;
    let after = SCORES + Score::of(with_clip).count();
    field::<StringBuilder>(item, 0).append_value(&text.source);
    field::<StringBuilder>(item, 1).append_option(text.text.as_deref());
    field::<StringBuilder>(item, 2).append_value(text.status.as_str());
    for (at, score) in Score::of(with_clip).enumerate() {
        let value = text.scored.and_then(|scored| scored.score(score));
        field::<Float32Builder>(item, SCORES + at).append_option(value);
    }
    field::<BooleanBuilder>(item, after).append_value(text.is_kept());
    field::<StringBuilder>(item, after + 1).append_option(text.language.as_deref());
    field::<Float32Builder>(item, after + 2).append_option(text.repetition);
    item.append(true);
}

#[cfg(test)]
mod tests;
