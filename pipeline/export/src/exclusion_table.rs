//! Exclusion lists that are tables: Parquet, or separated values, with the columns `url`, `key` and `sha256`.

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch},
    compute::cast,
    datatypes::DataType,
};
use capfilt_store::records::csv_rows;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

/// First bytes of a Parquet file.
const MAGIC: &[u8] = b"PAR1";

/// Rows that are decoded at once.
const ROWS_AT_ONCE: usize = 8192;

/// Columns that are read, with the role of their values.
const COLUMNS: [(&str, Role); 3] = [("url", Role::Name), ("key", Role::Name), ("sha256", Role::Image)];

/// Meaning of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A URL, a key, or the SHA-256 of an image.
    Any,
    /// A URL or a key.
    Name,
    /// The SHA-256 of an image.
    Image,
}

/// Form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text with one entry per line.
    Lines,
    /// A Parquet file.
    Parquet,
    /// Values with this separator between them, and a header.
    Separated(u8),
}

/// Receiver of the entries of a list.
type Enter<'a> = &'a mut dyn FnMut(&str, Role) -> Result<(), String>;

impl Kind {
    /// Form of a file: by its first bytes Parquet, by its name separated values, else lines.
    pub fn of(file: &Path) -> Result<Self, String> {
        let mut start = Vec::new();
        let read = File::open(file).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start));
        read.map_err(|error| error.to_string())?;
        let ending = file.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        Ok(match ending.as_deref() {
            _ if start == MAGIC => Self::Parquet,
            Some("parquet") => return Err("it is not a Parquet file".to_owned()),
            Some("csv") => Self::Separated(b','),
            Some("tsv") => Self::Separated(b'\t'),
            _ => Self::Lines,
        })
    }
}

/// Hands each value of the columns of a table to `enter`.
///
/// # Errors
/// The file is not such a table, or `enter` refuses a value.
pub(super) fn each_cell(file: &Path, kind: Kind, enter: Enter<'_>) -> Result<(), String> {
    match kind {
        Kind::Separated(separator) => separated(file, separator, enter),
        Kind::Parquet | Kind::Lines => parquet(file, enter),
    }
}

/// Numbers of the columns in `names`, with their roles.
fn columns<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<(usize, &'static str, Role)>, String> {
    let names: Vec<&str> = names.collect();
    let mut found = Vec::new();
    for (name, role) in COLUMNS {
        let mut places = names.iter().enumerate().filter(|(_, column)| **column == name).map(|(at, _)| at);
        found.extend(places.next().map(|at| (at, name, role)));
        if places.next().is_some() {
            return Err(format!("its column `{name}` is there twice"));
        }
    }
    if found.is_empty() {
        // A header may be any text: its beginning is enough to recognize the file.
        let header: String = names.join(", ").chars().take(200).collect();
        return Err(format!("it has none of the columns url, key and sha256, but {header:?}"));
    }
    Ok(found)
}

fn enter_trimmed(value: &str, role: Role, row: usize, enter: Enter<'_>) -> Result<(), String> {
    match value.trim() {
        "" => Ok(()),
        value => enter(value, role).map_err(|why| format!("row {row}: {why}")),
    }
}

fn separated(file: &Path, separator: u8, enter: Enter<'_>) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    let mut rows = csv_rows(&bytes, separator);
    let header = rows.next().unwrap_or_default();
    let header: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name)).collect();
    let columns = columns(header.iter().map(|name| name.trim()))?;
    for (row, values) in (1..).zip(rows) {
        if values.len() != header.len() {
            return Err(format!("row {row} has {} values, and the header {}", values.len(), header.len()));
        }
        for (at, name, role) in &columns {
            let value = str::from_utf8(&values[*at]);
            let value = value.map_err(|error| format!("row {row}: column `{name}`: {error}"))?;
            enter_trimmed(value, *role, row, enter)?;
        }
    }
    Ok(())
}

fn parquet(file: &Path, enter: Enter<'_>) -> Result<(), String> {
    let is_bad =
        |error: &dyn std::fmt::Display| format!("it is not a Parquet file that can be read: {error}");
    let opened = File::open(file).map_err(|error| error.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|error| is_bad(&error))?;
    let columns = columns(builder.schema().fields().iter().map(|field| field.name().as_str()))?;
    let wanted = ProjectionMask::roots(builder.parquet_schema(), columns.iter().map(|(at, ..)| *at));
    let batches = builder.with_projection(wanted).with_batch_size(ROWS_AT_ONCE).build();
    let mut row = 0;
    for batch in batches.map_err(|error| is_bad(&error))? {
        let batch = batch.map_err(|error| is_bad(&error))?;
        for (_, name, role) in &columns {
            enter_column(&batch, name, *role, row, enter)?;
        }
        row += batch.num_rows();
    }
    Ok(())
}

/// Hands the values of a column to `enter`; `row`: number of rows before the batch.
fn enter_column(
    batch: &RecordBatch,
    name: &str,
    role: Role,
    row: usize,
    enter: Enter<'_>,
) -> Result<(), String> {
    let Some(values) = batch.column_by_name(name) else { return Ok(()) };
    let values = texts(values, role).map_err(|why| format!("its column `{name}` {why}"))?;
    let values = values.as_string::<i64>();
    for (at, value) in values.iter().enumerate() {
        enter_trimmed(value.unwrap_or_default(), role, row + at + 1, enter)?;
    }
    Ok(())
}

/// Values as texts. A SHA-256 may be 32 bytes, and a key a whole number.
fn texts(values: &ArrayRef, role: Role) -> Result<ArrayRef, String> {
    let kind = match values.data_type() {
        DataType::Dictionary(_, kind) => kind.as_ref(),
        kind => kind,
    };
    let is_number = kind.is_integer();
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {}
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) if role == Role::Image => {
            let bytes = cast(values, &DataType::LargeBinary).map_err(|error| error.to_string())?;
            let texts = bytes.as_binary::<i64>().iter().map(|value| value.map(hex::encode));
            return Ok(std::sync::Arc::new(texts.collect::<arrow::array::LargeStringArray>()));
        }
        _ if is_number && role == Role::Name => {}
        other => return Err(format!("has values of the type {other}, and not texts")),
    }
    cast(values, &DataType::LargeUtf8).map_err(|error| format!("cannot be read as texts: {error}"))
}

#[cfg(test)]
#[path = "exclusion_table/tests.rs"]
mod tests;
