//! The pairs: kept texts, one row per image with at least one kept text, ready for training.

use super::cells::{Columns as _, field, items, text};
use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, BinaryBuilder, Float32Builder, ListBuilder, RecordBatch,
        StringArray, StringBuilder, StructBuilder, UInt32Array,
    },
    datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt32Type},
    error::ArrowError,
};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// Version of the pairs' columns and of their meaning.
pub const VERSION: u32 = 1;

/// Source of a kept text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The row's web text.
    Web,
    /// A generated caption.
    Synthetic,
}

impl Source {
    /// Name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Synthetic => "synthetic",
        }
    }

    /// Parses a source; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Web, Self::Synthetic].into_iter().find(|source| source.as_str() == text)
    }
}

/// One row of `pairs.parquet`, without the pass-through columns.
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
    pub captions: Vec<PairsText<'a>>,
}

/// A kept text of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairsText<'a> {
    /// The text.
    pub text: &'a str,
    /// Name of a [`Source`]; a damaged table may have any text.
    pub source: &'a str,
    /// P(match).
    pub itm: f32,
}

/// Columns of `pairs.parquet`: capfilt's, then the job's pass-through columns, unchanged.
///
/// `image` is Hugging Face's image struct, so that `datasets` shows it as an image (according to the
/// `huggingface` metadata). Its Arrow type must therefore be exactly theirs, nullable and with 32-bit
/// offsets, although no image is ever null.
pub fn schema(passthrough: &[Field]) -> SchemaRef {
    let image = DataType::Struct(image_fields());
    let mut fields = vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("image", image, true),
        Field::new("captions", DataType::List(caption_item()), false),
        Field::new("width", DataType::UInt32, false),
        Field::new("height", DataType::UInt32, false),
    ];
    fields.extend(passthrough.iter().cloned());
    let metadata = HashMap::from([("capfilt.pairs.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// Fields of an image: `bytes` has the input's unchanged bytes, and `path` the input's path. With
/// `output.images = "reference"`, `bytes` is null and `path` points at the bytes: an object below the input's
/// URL, or `file#row` of the input's Parquet.
pub fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

/// The list item of column `captions`.
fn caption_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(caption_fields()), false))
}

/// Fields of one kept text; `itm` is P(match).
fn caption_fields() -> Fields {
    Fields::from(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("itm", DataType::Float32, false),
    ])
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
        captions(rows),
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

fn captions(rows: &[PairsRow]) -> ArrayRef {
    let mut list =
        ListBuilder::new(StructBuilder::from_fields(caption_fields(), 0)).with_field(caption_item());
    for row in rows {
        for caption in &row.captions {
            let item = list.values();
            field::<StringBuilder>(item, 0).append_value(caption.text);
            field::<StringBuilder>(item, 1).append_value(caption.source);
            field::<Float32Builder>(item, 2).append_value(caption.itm);
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

/// Rows of a batch that has the columns of [`schema`], in any order.
pub fn rows(batch: &RecordBatch) -> impl Iterator<Item = PairsRow<'_>> {
    let (keys, lists) = (batch.texts("key"), batch.lists("captions"));
    let (widths, heights) = (batch.numbers::<UInt32Type>("width"), batch.numbers::<UInt32Type>("height"));
    let image = batch.column_of("image").as_struct();
    let (images, paths) = (image.column_of("bytes").as_binary::<i32>(), image.texts("path"));
    let captions = lists.values().as_struct();
    let (texts, sources, itms) = (captions.texts("text"), captions.texts("source"), captions.scores("itm"));
    let caption = move |i| PairsText { text: texts.value(i), source: sources.value(i), itm: itms.value(i) };
    (0..batch.num_rows()).map(move |i| PairsRow {
        key: text(keys, i),
        image: images.is_valid(i).then(|| images.value(i)),
        path: text(paths, i).map(Cow::Borrowed),
        width: widths.value(i),
        height: heights.value(i),
        captions: items(lists, i).map(caption).collect(),
    })
}

#[cfg(test)]
mod tests;
