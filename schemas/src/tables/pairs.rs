//! The pairs: kept texts, one row per image with at least one kept text, ready for training.

mod sample;

pub use sample::{SAMPLE_FIELDS, Sample, best_text, encode_sample, sample_name};

use super::{
    cells::{Columns as _, clip_scores, field, items, number, text},
    texts::{OptionalColumns, Score},
};
use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, BinaryBuilder, Float32Builder, ListBuilder, RecordBatch,
        StringArray, StringBuilder, StructBuilder, UInt32Array,
    },
    datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt32Type},
    error::ArrowError,
};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// Version of the pairs' columns and of their meaning. Version 1 had the texts in column `captions`, with
/// `itm` as the only score.
pub const VERSION: u32 = 2;

/// Key of the version in the metadata of a stored table.
const VERSION_KEY: &str = "capfilt.pairs.version";

/// Versions of stored tables that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Texts in `captions`.
    One,
    /// The columns of [`schema`].
    Two,
}

impl Version {
    /// Version of a stored table. The metadata decides, because a pass-through column may have any name.
    pub fn of(found: &Schema) -> Self {
        let is_first = found.metadata().get(VERSION_KEY).is_some_and(|version| version == "1");
        if is_first { Self::One } else { Self::Two }
    }

    /// Columns of the version, without pass-through columns.
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::Two => schema(&[], OptionalColumns::default()),
            Self::One => {
                let texts = DataType::List(item(vec![
                    Field::new("text", DataType::Utf8, false),
                    Field::new("source", DataType::Utf8, false),
                    Score::Itm.field(false),
                ]));
                Arc::new(Schema::new(columns(Field::new(self.texts(), texts, false))))
            }
        }
    }

    /// Column with the texts.
    pub fn texts(self) -> &'static str {
        match self {
            Self::One => "captions",
            Self::Two => "texts",
        }
    }
}

/// One row of `pairs.parquet` or sample of `pairs.tar`, without the pass-through columns.
#[derive(Debug, Clone, PartialEq)]
pub struct PairsRow<'a> {
    /// The input's key of the row.
    pub key: Option<&'a str>,
    /// The input's bytes; null if the job keeps images by reference.
    pub image: Option<&'a [u8]>,
    /// The path in the input row, or the reference of a job that keeps images by reference.
    pub path: Option<Cow<'a, str>>,
    /// Width in pixels as stored in the image.
    pub width: u32,
    /// Height in pixels as stored in the image.
    pub height: u32,
    /// Kept texts; at least one.
    pub texts: Vec<PairsText<'a>>,
}

/// A kept text of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairsText<'a> {
    /// Name of the text column, or [`SYNTHETIC`](super::texts::SYNTHETIC).
    pub source: &'a str,
    /// The text.
    pub text: &'a str,
    /// P(match).
    pub itm: f32,
    /// Cosine; `None` in a table of version 1.
    pub itc: Option<f32>,
    /// CLIP score, in a job with `models.clip`.
    pub clip: Option<f32>,
}

impl PairsText<'_> {
    fn score(&self, score: Score) -> Option<f32> {
        match score {
            Score::Itm => Some(self.itm),
            Score::Itc => self.itc,
            Score::Clip => self.clip,
        }
    }
}

/// Columns of `pairs.parquet`: capfilt's, then the job's pass-through columns, unchanged. Pairs have no
/// vectors, so only `optional.clip` is read.
///
/// `image` is Hugging Face's image struct, so that `datasets` shows it as an image (according to the
/// `huggingface` metadata). Its Arrow type must therefore be exactly theirs, nullable and with 32-bit
/// offsets, although no image is ever null.
pub fn schema(passthrough: &[Field], optional: OptionalColumns) -> SchemaRef {
    let mut fields = columns(Field::new("texts", DataType::List(text_item(optional.clip)), false));
    fields.extend(passthrough.iter().cloned());
    let metadata = HashMap::from([(VERSION_KEY.to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// Columns of any version, with its column of texts.
fn columns(texts: Field) -> Vec<Field> {
    vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("image", DataType::Struct(image_fields()), true),
        texts,
        Field::new("width", DataType::UInt32, false),
        Field::new("height", DataType::UInt32, false),
    ]
}

/// Fields of an image: `bytes` has the input's unchanged bytes, and `path` the input's path. With
/// `output.images = "reference"`, `bytes` is null and `path` points at the bytes: an object below the input's
/// URL, or `file#row` of the input's Parquet.
pub fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

fn item(fields: Vec<Field>) -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(fields.into()), false))
}

/// The list item of column `texts`.
fn text_item(with_clip: bool) -> Arc<Field> {
    item(text_fields(with_clip))
}

/// Fields of one kept text.
fn text_fields(with_clip: bool) -> Vec<Field> {
    let names = ["source", "text"].map(|name| Field::new(name, DataType::Utf8, false));
    names.into_iter().chain(Score::of(with_clip).map(|score| score.field(true))).collect()
}

/// Whether texts have a CLIP score, by the columns of a table.
fn has_clip(schema: &SchemaRef) -> bool {
    let texts = schema.column_with_name("texts").map(|(_, field)| field.data_type());
    match texts {
        Some(DataType::List(item)) => *item.data_type() == DataType::Struct(text_fields(true).into()),
        _ => false,
    }
}

/// Encodes rows as a batch of `schema`, with the pass-through columns row for row.
///
/// # Errors
/// Other pass-through columns than those of the schema, or more bytes of images than 32-bit offsets can
/// address.
pub fn batch(
    schema: &SchemaRef,
    rows: &[PairsRow],
    passthrough: &[ArrayRef],
) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.key).collect::<StringArray>()),
        images(rows),
        texts(rows, has_clip(schema)),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.width))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.height))),
    ];
    columns.extend_from_slice(passthrough);
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn images(rows: &[PairsRow]) -> ArrayRef {
    let mut column = StructBuilder::from_fields(image_fields(), rows.len());
    for row in rows {
        field::<BinaryBuilder>(&mut column, 0).append_option(row.image);
        field::<StringBuilder>(&mut column, 1).append_option(row.path.as_deref());
        column.append(true);
    }
    Arc::new(column.finish())
}

fn texts(rows: &[PairsRow], with_clip: bool) -> ArrayRef {
    const SCORES: usize = 2;
    let fields = StructBuilder::from_fields(text_fields(with_clip), 0);
    let mut list = ListBuilder::new(fields).with_field(text_item(with_clip));
    for row in rows {
        for text in &row.texts {
            let item = list.values();
            field::<StringBuilder>(item, 0).append_value(text.source);
            field::<StringBuilder>(item, 1).append_value(text.text);
            for (at, score) in Score::of(with_clip).enumerate() {
                field::<Float32Builder>(item, SCORES + at).append_option(text.score(score));
            }
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

/// Rows of a batch that has the columns of a version, in any order.
pub fn rows(batch: &RecordBatch, version: Version) -> impl Iterator<Item = PairsRow<'_>> {
    let (keys, lists) = (batch.texts("key"), batch.lists(version.texts()));
    let (widths, heights) = (batch.numbers::<UInt32Type>("width"), batch.numbers::<UInt32Type>("height"));
    let image = batch.column_of("image").as_struct();
    let (images, paths) = (image.column_of("bytes").as_binary::<i32>(), image.texts("path"));
    let fields = lists.values().as_struct();
    let (texts, sources, itms) = (fields.texts("text"), fields.texts("source"), fields.scores("itm"));
    let itcs = (version == Version::Two).then(|| fields.scores("itc"));
    let clips = clip_scores(fields);
    let kept = move |i| PairsText {
        source: sources.value(i),
        text: texts.value(i),
        itm: itms.value(i),
        itc: itcs.and_then(|itcs| number(itcs, i)),
        clip: clips.and_then(|clips| number(clips, i)),
    };
    (0..batch.num_rows()).map(move |i| PairsRow {
        key: text(keys, i),
        image: images.is_valid(i).then(|| images.value(i)),
        path: text(paths, i).map(Cow::Borrowed),
        width: widths.value(i),
        height: heights.value(i),
        texts: items(lists, i).map(kept).collect(),
    })
}

#[cfg(test)]
mod tests;
