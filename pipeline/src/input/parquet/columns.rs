//! Cells of the job's columns, for all supported Parquet types.

use super::restore::{Places, restore};
use crate::{
    frames::pack,
    input::{ColumnError, TextInput, images::ImageCell},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray},
    compute::cast,
    datatypes::{DataType, Fields},
};
use bytes::Bytes;

/// Finds a column by name; `None` if the batch does not have it.
pub(super) fn find<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a ArrayRef> {
    batch.column_by_name(name)
}

fn wrong_type(column: &str, found: &DataType, expected: &str) -> ColumnError {
    ColumnError { column: column.to_owned(), problem: format!("is {found}, expected {expected}") }
}

/// Row names and paths.
#[derive(Debug)]
pub(super) struct Names {
    pub names: Vec<Option<String>>,
    /// Rows whose name is not text.
    pub lost: Places,
}

/// Row names as text; numbers are formatted in decimal.
pub(super) fn names(column: &str, stored: &ArrayRef, promised: &DataType) -> Result<Names, ColumnError> {
    let fail = |_| wrong_type(column, promised, "text or a number");
    let restored = restore(stored, promised).map_err(fail)?;
    let text = cast(&restored.array, &DataType::Utf8).map_err(fail)?;
    let names = text.as_string::<i32>().iter().map(|name| name.map(str::to_owned)).collect();
    Ok(Names { names, lost: restored.lost })
}

/// Texts of each row, at least one; bytes that are not UTF-8 stay bytes. Of a list, `most` texts are copied,
/// and one more entry means that there are further ones.
pub(super) fn texts(
    column: &str,
    stored: &ArrayRef,
    most: usize,
) -> Result<Vec<Vec<TextInput>>, ColumnError> {
    let DataType::List(_) = stored.data_type() else {
        return Ok(byte_cells(column, stored, "text")?.into_iter().map(|cell| vec![text(cell)]).collect());
    };
    let (lists, mut rows) = (stored.as_list::<i32>(), Vec::with_capacity(stored.len()));
    for (row, ends) in lists.value_offsets().windows(2).enumerate() {
        let (start, all) = (ends[0] as usize, (ends[1] - ends[0]) as usize);
        let all = if lists.is_null(row) { 0 } else { all };
        let items = lists.values().slice(start, all.min(most));
        let mut texts: Vec<TextInput> =
            byte_cells(column, &items, "a list of texts")?.into_iter().map(text).collect();
        match all {
            0 => texts.push(TextInput::Missing),
            all if all > most => texts.push(TextInput::TooMany),
            _ => {}
        }
        rows.push(texts);
    }
    Ok(rows)
}

fn text(cell: Option<Bytes>) -> TextInput {
    match cell {
        None => TextInput::Missing,
        Some(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => TextInput::Text(text.to_owned()),
            Err(_) => TextInput::NotUtf8(bytes),
        },
    }
}

/// Image cells, and the rows whose path is not text.
#[derive(Debug)]
pub(super) struct Images {
    pub cells: Vec<ImageCell>,
    pub lost: Places,
}

/// Image cells: bytes, Hugging Face's struct{bytes, path}, paths, or lists of frames.
pub(super) fn images(column: &str, stored: &ArrayRef, promised: &DataType) -> Result<Images, ColumnError> {
    match promised {
        DataType::Struct(fields) => images_of_struct(column, stored.as_struct(), fields),
        DataType::List(_) => clips(column, stored.as_list::<i32>()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let Names { names, lost } = names(column, stored, promised)?;
            let cell = |(row, path): (usize, Option<String>)| path_cell(path, &lost, row);
            let cells = names.into_iter().enumerate().map(cell).collect();
            Ok(Images { cells, lost })
        }
        _ => {
            let cells = byte_cells(column, stored, "image bytes, struct{bytes, path} or paths as text")?;
            let image = |bytes| ImageCell::Bytes { bytes, path: None };
            let cells = cells.into_iter().map(|cell| cell.map_or(ImageCell::Nothing, image)).collect();
            Ok(Images { cells, lost: Places::new() })
        }
    }
}

/// Clips: the frames of each row, bytes or struct{bytes}, packed into one value. The paths of frames are not
/// read.
fn clips(column: &str, stored: &ListArray) -> Result<Images, ColumnError> {
    let expected = "a list of image bytes or of struct{bytes}";
    let clip = |row: usize| {
        if stored.is_null(row) {
            return Ok(ImageCell::Nothing);
        }
        let frames = stored.value(row);
        let cells = match frames.as_struct_opt() {
            Some(frames) => match frames.column_by_name("bytes") {
                Some(bytes) => byte_cells(column, bytes, expected)?,
                None => return Err(wrong_type(column, stored.data_type(), expected)),
            },
            None => byte_cells(column, &frames, expected)?,
        };
        Ok(ImageCell::Bytes { bytes: pack(&cells), path: None })
    };
    let cells = (0..stored.len()).map(clip).collect::<Result<_, _>>()?;
    Ok(Images { cells, lost: Places::new() })
}

fn path_cell(path: Option<String>, lost: &Places, row: usize) -> ImageCell {
    match path {
        Some(path) => ImageCell::Path(path),
        None if lost.contains_key(&row) => ImageCell::NoPath,
        None => ImageCell::Nothing,
    }
}

fn images_of_struct(column: &str, stored: &StructArray, promised: &Fields) -> Result<Images, ColumnError> {
    let bytes = stored.column_by_name("bytes");
    let bytes = bytes.map(|array| byte_cells(&format!("{column}.bytes"), array, "bytes")).transpose()?;
    let path = promised.find("path").map(|(at, field)| (stored.column(at), field.data_type()));
    let paths = path.map(|(array, kind)| names(&format!("{column}.path"), array, kind)).transpose()?;
    if bytes.is_none() && paths.is_none() {
        let found = DataType::Struct(promised.clone());
        return Err(wrong_type(column, &found, "a struct with `bytes` or `path`"));
    }
    let Names { names, lost } =
        paths.unwrap_or_else(|| Names { names: vec![None; stored.len()], lost: Places::new() });
    let cell =
        |(row, path): (usize, Option<String>)| match bytes.as_ref().and_then(|bytes| bytes[row].clone()) {
            _ if stored.is_null(row) => ImageCell::Nothing,
            Some(bytes) => ImageCell::Bytes { bytes, path },
            None => path_cell(path, &lost, row),
        };
    let cells = names.into_iter().enumerate().map(cell).collect();
    Ok(Images { cells, lost })
}

/// Cells as bytes. The bytes are copied, so that a batch can be dropped long before its last row is written.
fn byte_cells(column: &str, array: &ArrayRef, expected: &str) -> Result<Vec<Option<Bytes>>, ColumnError> {
    let copy = Bytes::copy_from_slice;
    Ok(match array.data_type() {
        // A column of this type has only nulls.
        DataType::Null => vec![None; array.len()],
        DataType::Binary => array.as_binary::<i32>().iter().map(|cell| cell.map(copy)).collect(),
        DataType::LargeBinary => array.as_binary::<i64>().iter().map(|cell| cell.map(copy)).collect(),
        DataType::BinaryView => array.as_binary_view().iter().map(|cell| cell.map(copy)).collect(),
        DataType::FixedSizeBinary(_) => {
            array.as_fixed_size_binary().iter().map(|cell| cell.map(copy)).collect()
        }
        DataType::Utf8 => {
            array.as_string::<i32>().iter().map(|cell| cell.map(|s| copy(s.as_bytes()))).collect()
        }
        DataType::LargeUtf8 => {
            array.as_string::<i64>().iter().map(|cell| cell.map(|s| copy(s.as_bytes()))).collect()
        }
        DataType::Utf8View => {
            array.as_string_view().iter().map(|cell| cell.map(|s| copy(s.as_bytes()))).collect()
        }
        other => return Err(wrong_type(column, other, expected)),
    })
}
