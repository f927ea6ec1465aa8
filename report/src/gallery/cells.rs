//! Image cells of single rows of a Parquet file: of an input, or of the pairs.

use super::rows::{options, selection};
use arrow::{
    array::{Array, AsArray as _, RecordBatch},
    datatypes::DataType,
};
use bytes::Bytes;
use capfilt_store::PinnedObject;
use futures::TryStreamExt as _;
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask, async_reader::ParquetRecordBatchStream},
    errors::ParquetError,
};

/// Image cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// Null, or a column of another type.
    Nothing,
    /// The encoded image.
    Bytes(Bytes),
    /// The name of an object with the image, or a link.
    Path(String),
}

/// Image cells, one at a time. Memory: one cell, and the compressed pages of the selected rows of one row
/// group.
pub(super) struct Cells(Option<ParquetRecordBatchStream<PinnedObject>>);

impl Cells {
    /// Opens a column at rows in ascending order. A file without the column has no cells.
    pub async fn open(
        object: PinnedObject,
        column: &str,
        rows: impl Iterator<Item = u64>,
    ) -> Result<Self, ParquetError> {
        let builder = ParquetRecordBatchStreamBuilder::new_with_options(object, options()).await?;
        let stored = builder.parquet_schema();
        let is_of = |parts: &[String]| {
            let is_field = parts.len() == 1 || ["bytes", "path"].contains(&parts[parts.len() - 1].as_str());
            parts.first().is_some_and(|root| root == column) && is_field
        };
        let leaves = stored.columns().iter().enumerate().filter(|(_, leaf)| is_of(leaf.path().parts()));
        let leaves: Vec<usize> = leaves.map(|(at, _)| at).collect();
        if leaves.is_empty() {
            return Ok(Self(None));
        }
        let projection = ProjectionMask::leaves(stored, leaves);
        let all = builder.metadata().file_metadata().num_rows();
        let selection = selection(rows.filter(|row| (*row as i64) < all), all);
        let builder = builder.with_projection(projection).with_row_selection(selection);
        Ok(Self(Some(builder.with_batch_size(1).build()?)))
    }

    /// The cell of the next row.
    pub async fn next(&mut self) -> Result<Cell, ParquetError> {
        let Some(batches) = &mut self.0 else { return Ok(Cell::Nothing) };
        Ok(batches.try_next().await?.map_or(Cell::Nothing, |batch| cell(&batch)))
    }
}

fn cell(batch: &RecordBatch) -> Cell {
    let column = batch.column(0);
    // The picture of a clip is its middle frame.
    let frames = column.as_list_opt::<i32>().filter(|clips| !clips.is_empty() && clips.is_valid(0));
    let frames = frames.map(|clips| clips.value(0));
    let middle = frames.map(|frames| frames.slice(frames.len() / 2, frames.len().min(1)));
    let column = middle.as_ref().unwrap_or(column);
    if column.is_empty() || column.is_null(0) {
        return Cell::Nothing;
    }
    let of = |array: &dyn Array| {
        let bytes = bytes_of(array).filter(|bytes| !bytes.is_empty());
        bytes.map(Cell::Bytes).or_else(|| text_of(array).map(Cell::Path))
    };
    let found = match column.as_struct_opt() {
        None => of(column),
        Some(fields) => ["bytes", "path"].iter().find_map(|name| of(fields.column_by_name(name)?)),
    };
    found.unwrap_or(Cell::Nothing)
}

fn bytes_of(array: &dyn Array) -> Option<Bytes> {
    if array.is_null(0) {
        return None;
    }
    let bytes: &[u8] = match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(0),
        DataType::LargeBinary => array.as_binary::<i64>().value(0),
        DataType::BinaryView => array.as_binary_view().value(0),
        _ => return None,
    };
    Some(Bytes::copy_from_slice(bytes))
}

fn text_of(array: &dyn Array) -> Option<String> {
    if array.is_null(0) {
        return None;
    }
    let text = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(0),
        DataType::LargeUtf8 => array.as_string::<i64>().value(0),
        DataType::Utf8View => array.as_string_view().value(0),
        _ => return None,
    };
    Some(text.to_owned())
}
