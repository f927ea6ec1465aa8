//! The quarantine: rows that could not be processed, with bytes and reason, for a later repetition.

use super::{
    cells::{Columns as _, field, items, text},
    texts::WEB,
};
use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, LargeBinaryArray, LargeBinaryBuilder, ListBuilder, RecordBatch,
        StringArray, StringBuilder, StructBuilder, UInt64Array,
    },
    datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt64Type},
    error::ArrowError,
};
use std::{collections::HashMap, sync::Arc};

/// Version of the quarantine's columns. Version 1 had the text of the input in column `web_text`.
pub const VERSION: u32 = 2;

/// One row of `quarantine.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct QuarantineRow<'a> {
    /// The input's key of the row.
    pub key: Option<&'a str>,
    /// Address: path of the file below the input's URL.
    pub file: &'a str,
    /// Address: number of the row within the file, from 0.
    pub row: u64,
    /// Name of a [`RowStatus`](crate::status::RowStatus); a damaged table may have any text.
    pub status: &'a str,
    /// For people: the reason why the row was not judged.
    pub detail: Option<&'a str>,
    /// The input's bytes of the image.
    pub image: Option<&'a [u8]>,
    /// Texts of the input.
    pub texts: Vec<QuarantineText<'a>>,
}

/// A text of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuarantineText<'a> {
    /// Name of the text column.
    pub source: &'a str,
    /// The input's bytes of the text, which need not be UTF-8.
    pub text: Option<&'a [u8]>,
}

/// Columns of `quarantine.parquet`, in input order.
pub fn schema() -> SchemaRef {
    let metadata = HashMap::from([("capfilt.quarantine.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(
        vec![
            Field::new("key", DataType::Utf8, true),
            Field::new("file", DataType::Utf8, false),
            Field::new("row", DataType::UInt64, false),
            Field::new("status", DataType::Utf8, false),
            Field::new("detail", DataType::Utf8, true),
            Field::new("image", DataType::LargeBinary, true),
            Field::new("texts", DataType::List(text_item()), false),
        ],
        metadata,
    ))
}

/// The columns to expect in a stored table: those of [`schema`], or of version 1.
pub fn schema_of(found: &Schema) -> SchemaRef {
    if found.column_with_name(WEB_TEXT).is_none() {
        return schema();
    }
    let schema = schema();
    let others = schema.fields().iter().map(AsRef::as_ref).filter(|field| field.name() != "texts").cloned();
    let web_text = Field::new(WEB_TEXT, DataType::LargeBinary, true);
    Arc::new(Schema::new(others.chain([web_text]).collect::<Vec<_>>()))
}

/// Column that only version 1 has.
const WEB_TEXT: &str = "web_text";

/// The list item of column `texts`.
fn text_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(text_fields()), false))
}

/// Fields of one text.
fn text_fields() -> Fields {
    let source = Field::new("source", DataType::Utf8, false);
    Fields::from(vec![source, Field::new("text", DataType::LargeBinary, true)])
}

/// Encodes rows as a batch.
///
/// # Errors
/// More bytes of details than the column's 32-bit offsets can address.
pub fn batch(rows: &[QuarantineRow]) -> Result<RecordBatch, ArrowError> {
    fn texts<'a>(
        rows: &'a [QuarantineRow<'a>],
        cell: fn(&'a QuarantineRow<'a>) -> Option<&'a str>,
    ) -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<StringArray>())
    }
    let columns: Vec<ArrayRef> = vec![
        texts(rows, |row| row.key),
        texts(rows, |row| Some(row.file)),
        Arc::new(rows.iter().map(|row| row.row).collect::<UInt64Array>()),
        texts(rows, |row| Some(row.status)),
        texts(rows, |row| row.detail),
        Arc::new(rows.iter().map(|row| row.image).collect::<LargeBinaryArray>()),
        list_of_texts(rows),
    ];
    RecordBatch::try_new(schema(), columns)
}

fn list_of_texts(rows: &[QuarantineRow]) -> ArrayRef {
    let mut list = ListBuilder::new(StructBuilder::from_fields(text_fields(), 0)).with_field(text_item());
    for row in rows {
        for text in &row.texts {
            let item = list.values();
            field::<StringBuilder>(item, 0).append_value(text.source);
            field::<LargeBinaryBuilder>(item, 1).append_option(text.text);
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

/// Rows of a batch that has the columns of [`schema_of`].
pub fn rows(batch: &RecordBatch) -> impl Iterator<Item = QuarantineRow<'_>> {
    let names = |name: &str| batch.texts(name);
    let (keys, files, statuses, details) = (names("key"), names("file"), names("status"), names("detail"));
    let numbers = batch.numbers::<UInt64Type>("row");
    let images = batch.column_of("image").as_binary();
    (0..batch.num_rows()).map(move |i| QuarantineRow {
        key: text(keys, i),
        file: files.value(i),
        row: numbers.value(i),
        status: statuses.value(i),
        detail: text(details, i),
        image: bytes(images, i),
        texts: texts_of(batch, i),
    })
}

fn texts_of(batch: &RecordBatch, row: usize) -> Vec<QuarantineText<'_>> {
    if let Some(texts) = batch.column_by_name(WEB_TEXT) {
        return vec![QuarantineText { source: WEB, text: bytes(texts.as_binary(), row) }];
    }
    let lists = batch.lists("texts");
    let fields = lists.values().as_struct();
    let (sources, texts) = (fields.texts("source"), fields.column_of("text").as_binary());
    items(lists, row).map(|i| QuarantineText { source: sources.value(i), text: bytes(texts, i) }).collect()
}

/// Bytes of a cell; `None` for null.
fn bytes(cells: &LargeBinaryArray, i: usize) -> Option<&[u8]> {
    cells.is_valid(i).then(|| cells.value(i))
}

#[cfg(test)]
mod tests;
