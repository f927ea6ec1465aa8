//! The quarantine: rows that could not be processed, with bytes and reason, for a later repetition.

use super::cells::{Columns as _, text};
use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, LargeBinaryArray, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
    error::ArrowError,
};
use std::{collections::HashMap, sync::Arc};

/// Version of the quarantine's columns.
pub const VERSION: u32 = 1;

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
    /// The input's bytes of the text, which need not be UTF-8.
    pub web_text: Option<&'a [u8]>,
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
            Field::new("web_text", DataType::LargeBinary, true),
        ],
        metadata,
    ))
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
        Arc::new(rows.iter().map(|row| row.web_text).collect::<LargeBinaryArray>()),
    ];
    RecordBatch::try_new(schema(), columns)
}

/// Rows of a batch that has the columns of [`schema`].
pub fn rows(batch: &RecordBatch) -> impl Iterator<Item = QuarantineRow<'_>> {
    let texts = |name: &str| batch.texts(name);
    let (keys, files, statuses, details) = (texts("key"), texts("file"), texts("status"), texts("detail"));
    let numbers = batch.numbers::<UInt64Type>("row");
    let bytes = |name: &str| batch.column_of(name).as_binary::<i64>();
    let (images, web_texts) = (bytes("image"), bytes("web_text"));
    (0..batch.num_rows()).map(move |i| QuarantineRow {
        key: text(keys, i),
        file: files.value(i),
        row: numbers.value(i),
        status: statuses.value(i),
        detail: text(details, i),
        image: images.is_valid(i).then(|| images.value(i)),
        web_text: web_texts.is_valid(i).then(|| web_texts.value(i)),
    })
}

#[cfg(test)]
mod tests;
