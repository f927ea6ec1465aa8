//! The plan: every shard of a job, as a Parquet table that is small even for a million shards.

use super::cells::Columns as _;
use crate::hash::sha256_hex_of_parts;
use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type, UInt64Type},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

mod part;

pub use part::{IMAGE_SUFFIXES, INPUT_NAMES, InputFormat, Part, RecordFormat, image_rank};

/// Version of the plan's columns. Version 1 had row groups only; its tables are read too.
pub const VERSION: u32 = 2;

/// Identity of a shard: the same part of the same file in the same state has the same id on every machine.
///
/// The digits are stored inline, because a coordinator holds millions of ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId([u8; DIGITS]);

/// Digits of an id, which are 80 bits: a collision among a million shards has a probability of 10^-12, and
/// planning refuses it.
const DIGITS: usize = 20;

impl ShardId {
    /// The id of row groups of a file in one state.
    pub fn of(path: &str, etag: &str, row_groups: Range<u32>) -> Self {
        Self::of_part(path, etag, &Part::RowGroups(row_groups))
    }

    /// The id of a part of a file in one state.
    pub fn of_part(path: &str, etag: &str, part: &Part) -> Self {
        let part = part.in_id();
        let digest = sha256_hex_of_parts([path.as_bytes(), etag.as_bytes(), part.as_bytes()]);
        Self::parse(&digest[..DIGITS]).expect("a digest begins with digits")
    }

    /// Parses an id; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; DIGITS] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)).then_some(Self(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl Serialize for ShardId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ShardId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is not a shard id")))
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ShardId({})", self.as_str())
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One input file in its planned state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Path below the input's URL.
    pub path: String,
    /// The store's ETag of this state; reads require it.
    pub etag: String,
    /// Size of the file.
    pub bytes: u64,
}

/// An input file without a shard. Every description of the job lists it, so that no file is lost silently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    /// Path below the input's URL.
    pub path: String,
    /// The store's ETag of the refused state.
    pub etag: String,
    /// Size of the file.
    pub bytes: u64,
    /// Fault of the file, for people.
    pub reason: String,
}

/// The unit of work: a part of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Identity of the shard.
    pub id: ShardId,
    /// The file, shared by all its shards.
    #[serde(with = "shared")]
    pub file: Arc<InputFile>,
    /// Part of the file.
    pub part: Part,
    /// Number of the shard's first row within the file.
    pub first_row: u64,
    /// Rows of the part; an estimate unless `rows_exact`.
    pub rows: u64,
    /// Whether the rows were counted. Otherwise the commit has the true number.
    pub rows_exact: bool,
    /// Bytes of the part in the file.
    pub bytes: u64,
}

impl Shard {
    /// Whether a result with this number of rows may be the shard's.
    pub fn may_have(&self, rows: u64) -> bool {
        !self.rows_exact || self.rows == rows
    }
}

/// (De)serialises a shared file like an owned one.
mod shared {
    use super::*;

    pub fn serialize<S: Serializer>(file: &Arc<InputFile>, serializer: S) -> Result<S::Ok, S::Error> {
        InputFile::serialize(file, serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<InputFile>, D::Error> {
        InputFile::deserialize(deserializer).map(Arc::new)
    }
}

/// Columns of `plan.parquet`, one row per shard, in the order of file path and part.
pub fn schema() -> SchemaRef {
    let column = |name: &str, kind: DataType| Field::new(name, kind, false);
    let metadata = HashMap::from([("capfilt.plan.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(
        vec![
            column("shard", DataType::Utf8),
            column("file", DataType::Utf8),
            column("etag", DataType::Utf8),
            column("file_bytes", DataType::UInt64),
            column("part", DataType::Utf8),
            column("part_start", DataType::UInt64),
            column("part_end", DataType::UInt64),
            column("first_row", DataType::UInt64),
            column("rows", DataType::UInt64),
            column("rows_exact", DataType::Boolean),
            column("bytes", DataType::UInt64),
        ],
        metadata,
    ))
}

/// Columns of version 1.
fn first_schema() -> Schema {
    let column = |name: &str, kind: DataType| Field::new(name, kind, false);
    Schema::new(vec![
        column("shard", DataType::Utf8),
        column("file", DataType::Utf8),
        column("etag", DataType::Utf8),
        column("file_bytes", DataType::UInt64),
        column("row_group_start", DataType::UInt32),
        column("row_group_end", DataType::UInt32),
        column("first_row", DataType::UInt64),
        column("rows", DataType::UInt64),
        column("bytes", DataType::UInt64),
    ])
}

/// Whether a table with these columns is a plan of this version or of an earlier one.
pub fn is_readable(columns: &Schema) -> bool {
    columns.fields() == schema().fields() || columns.fields() == first_schema().fields()
}

/// Encodes shards as a batch.
pub fn batch(shards: &[Shard]) -> RecordBatch {
    fn texts<'a>(shards: &'a [Shard], of: impl Fn(&'a Shard) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(shards.iter().map(of)))
    }
    let counts = |of: fn(&Shard) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(shards.iter().map(of)))
    };
    let exact = BooleanArray::from_iter(shards.iter().map(|shard| Some(shard.rows_exact)));
    let columns = vec![
        texts(shards, |s| s.id.as_str()),
        texts(shards, |s| &s.file.path),
        texts(shards, |s| &s.file.etag),
        counts(|s| s.file.bytes),
        texts(shards, |s| s.part.unit()),
        counts(|s| s.part.range().start),
        counts(|s| s.part.range().end),
        counts(|s| s.first_row),
        counts(|s| s.rows),
        Arc::new(exact),
        counts(|s| s.bytes),
    ];
    RecordBatch::try_new(schema(), columns).expect("columns follow the schema")
}

/// Reason why a row is not a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAShard {
    /// The id is another text.
    #[error("the plan contains `{0}`, which is not a shard id")]
    Id(String),
    /// The part has an unknown unit, or a range that the unit cannot have.
    #[error("the plan contains the part `{0}`, which no file has")]
    Part(String),
}

/// Shards of a batch whose columns are [readable](is_readable).
pub fn shards(batch: &RecordBatch) -> impl Iterator<Item = Result<Shard, NotAShard>> + '_ {
    let (ids, paths, etags) = (batch.texts("shard"), batch.texts("file"), batch.texts("etag"));
    let count = |name: &str| batch.numbers::<UInt64Type>(name);
    let (file_bytes, first_rows) = (count("file_bytes"), count("first_row"));
    let (rows, bytes) = (count("rows"), count("bytes"));
    let parts = Parts::of(batch);
    let exact = batch.column_by_name("rows_exact").map(|_| batch.verdicts("rows_exact"));
    let mut last: Option<Arc<InputFile>> = None;
    // Neighbours nearly always belong to one file and share it in memory.
    let mut file = move |i: usize| {
        let text = |column: &StringArray| column.value(i).to_owned();
        let file = InputFile { path: text(paths), etag: text(etags), bytes: file_bytes.value(i) };
        let shared = last.take().filter(|last| **last == file).unwrap_or_else(|| Arc::new(file));
        last = Some(Arc::clone(&shared));
        shared
    };
    (0..batch.num_rows()).map(move |i| {
        let id = ids.value(i);
        Ok(Shard {
            id: ShardId::parse(id).ok_or_else(|| NotAShard::Id(id.to_owned()))?,
            file: file(i),
            part: parts.at(i)?,
            first_row: first_rows.value(i),
            rows: rows.value(i),
            rows_exact: exact.is_none_or(|exact| exact.value(i)),
            bytes: bytes.value(i),
        })
    })
}

/// Columns with the parts, in both versions.
enum Parts<'a> {
    First { starts: &'a UInt32Array, ends: &'a UInt32Array },
    Named { units: &'a StringArray, starts: &'a UInt64Array, ends: &'a UInt64Array },
}

impl<'a> Parts<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        if batch.column_by_name("part").is_none() {
            let column = |name: &str| batch.numbers::<UInt32Type>(name);
            return Self::First { starts: column("row_group_start"), ends: column("row_group_end") };
        }
        let column = |name: &str| batch.numbers::<UInt64Type>(name);
        Self::Named { units: batch.texts("part"), starts: column("part_start"), ends: column("part_end") }
    }

    fn at(&self, i: usize) -> Result<Part, NotAShard> {
        match self {
            Self::First { starts, ends } => Ok(Part::RowGroups(starts.value(i)..ends.value(i))),
            Self::Named { units, starts, ends } => {
                let (unit, range) = (units.value(i), starts.value(i)..ends.value(i));
                let fault = || NotAShard::Part(format!("{unit} {}..{}", range.start, range.end));
                Part::new(unit, range.clone()).ok_or_else(fault)
            }
        }
    }
}

#[cfg(test)]
mod tests;
