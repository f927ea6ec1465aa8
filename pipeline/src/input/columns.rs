//! Cells of the job's columns, whatever Parquet type they come in.

use super::TextInput;
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StructArray},
    compute::cast,
    datatypes::DataType,
};
use bytes::Bytes;

/// A column that is not there, or not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("column `{column}` {problem}")]
pub struct ColumnError {
    pub column: String,
    pub problem: String,
}

/// A column by name, if the batch has it.
pub(super) fn find<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a ArrayRef> {
    batch.column_by_name(name)
}

fn wrong_type(column: &str, found: &DataType, expected: &str) -> ColumnError {
    ColumnError { column: column.to_owned(), problem: format!("is {found}, expected {expected}") }
}

/// Row names as text; numbers are written out.
pub(super) fn keys(column: &str, array: &ArrayRef) -> Result<Vec<Option<String>>, ColumnError> {
    let text = cast(array, &DataType::Utf8).map_err(|_| wrong_type(column, array.data_type(), "text or a number"))?;
    Ok(text.as_string::<i32>().iter().map(|key| key.map(str::to_owned)).collect())
}

/// Web texts; bytes that are not UTF-8 stay bytes.
pub(super) fn texts(column: &str, array: &ArrayRef) -> Result<Vec<TextInput>, ColumnError> {
    let cells = byte_cells(column, array, "text")?;
    let text = |cell: Option<Bytes>| match cell {
        None => TextInput::Missing,
        Some(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => TextInput::Text(text.to_owned()),
            Err(_) => TextInput::NotUtf8(bytes),
        },
    };
    Ok(cells.into_iter().map(text).collect())
}

/// What a row says of its image.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ImageCell {
    Nothing,
    Bytes { bytes: Bytes, path: Option<String> },
    Path(String),
}

/// Image cells: bytes, Hugging Face's struct{bytes, path}, or paths.
pub(super) fn images(column: &str, array: &ArrayRef) -> Result<Vec<ImageCell>, ColumnError> {
    match array.data_type() {
        DataType::Struct(_) => images_of_struct(column, array.as_struct()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Ok(keys(column, array)?.into_iter().map(|path| path.map_or(ImageCell::Nothing, ImageCell::Path)).collect())
        }
        _ => {
            let cells = byte_cells(column, array, "image bytes, struct{bytes, path} or paths as text")?;
            let image = |bytes| ImageCell::Bytes { bytes, path: None };
            Ok(cells.into_iter().map(|cell| cell.map_or(ImageCell::Nothing, image)).collect())
        }
    }
}

fn images_of_struct(column: &str, cells: &StructArray) -> Result<Vec<ImageCell>, ColumnError> {
    let field = |name: &str| cells.column_by_name(name);
    let bytes = field("bytes").map(|array| byte_cells(&format!("{column}.bytes"), array, "bytes")).transpose()?;
    let paths = field("path").map(|array| keys(&format!("{column}.path"), array)).transpose()?;
    if bytes.is_none() && paths.is_none() {
        return Err(wrong_type(column, cells.data_type(), "a struct with `bytes` or `path`"));
    }
    let cell = |row: usize| {
        let path = paths.as_ref().and_then(|paths| paths[row].clone());
        match bytes.as_ref().and_then(|bytes| bytes[row].clone()) {
            _ if cells.is_null(row) => ImageCell::Nothing,
            Some(bytes) => ImageCell::Bytes { bytes, path },
            None => path.map_or(ImageCell::Nothing, ImageCell::Path),
        }
    };
    Ok((0..cells.len()).map(cell).collect())
}

/// Cells as bytes. They are copied out: a batch is dropped long before its last row is written.
fn byte_cells(column: &str, array: &ArrayRef, expected: &str) -> Result<Vec<Option<Bytes>>, ColumnError> {
    let copy = Bytes::copy_from_slice;
    Ok(match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().iter().map(|cell| cell.map(copy)).collect(),
        DataType::LargeBinary => array.as_binary::<i64>().iter().map(|cell| cell.map(copy)).collect(),
        DataType::BinaryView => array.as_binary_view().iter().map(|cell| cell.map(copy)).collect(),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().iter().map(|cell| cell.map(copy)).collect(),
        DataType::Utf8 => array.as_string::<i32>().iter().map(|cell| cell.map(|s| copy(s.as_bytes()))).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(|cell| cell.map(|s| copy(s.as_bytes()))).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(|cell| cell.map(|s| copy(s.as_bytes()))).collect(),
        other => return Err(wrong_type(column, other, expected)),
    })
}
