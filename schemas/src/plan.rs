//! The plan: every shard of a job, as a Parquet table that stays small for a million of them.

use crate::hash::sha256_hex_of_parts;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

/// Version of the plan's columns.
pub const VERSION: u32 = 1;

/// Names a shard for all time: the same file at the same state, cut in the same way, has the same id on every
/// machine.
///
/// The digits themselves, in place: a coordinator holds millions of these.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId([u8; DIGITS]);

/// 80 bits: a collision among a million shards has odds of one in 10^12, and planning would refuse it.
const DIGITS: usize = 20;

impl ShardId {
    pub fn of(path: &str, etag: &str, row_groups: Range<u32>) -> Self {
        let range = format!("{}..{}", row_groups.start, row_groups.end);
        let digest = sha256_hex_of_parts([path.as_bytes(), etag.as_bytes(), range.as_bytes()]);
        Self::parse(&digest[..DIGITS]).expect("a digest begins with digits")
    }

    /// The id that is written so; `None` when no id is.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; DIGITS] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)).then_some(Self(digits))
    }

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
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no shard's id")))
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

/// One input file as it was when the job was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Path below the input's URL.
    pub path: String,
    /// What the store calls this state of the object; reads insist on it.
    pub etag: String,
    pub bytes: u64,
}

/// An input file that can give no shard. It is listed wherever the job is described: a file is never silently
/// lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    /// Path below the input's URL.
    pub path: String,
    pub etag: String,
    pub bytes: u64,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// The unit of work: some row groups of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub id: ShardId,
    /// Shared by all shards of the file.
    #[serde(with = "shared")]
    pub file: Arc<InputFile>,
    pub row_groups: Range<u32>,
    /// Number of the shard's first row within the file.
    pub first_row: u64,
    pub rows: u64,
    /// Compressed bytes of the row groups.
    pub bytes: u64,
}

/// A shared file is written like any other.
mod shared {
    use super::*;

    pub fn serialize<S: Serializer>(file: &Arc<InputFile>, serializer: S) -> Result<S::Ok, S::Error> {
        InputFile::serialize(file, serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<InputFile>, D::Error> {
        InputFile::deserialize(deserializer).map(Arc::new)
    }
}

/// Columns of `plan.parquet`, one row per shard, in the order of file path and row group.
pub fn schema() -> SchemaRef {
    let column = |name: &str, kind: DataType| Field::new(name, kind, false);
    let metadata = HashMap::from([("capfilt.plan.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(
        vec![
            column("shard", DataType::Utf8),
            column("file", DataType::Utf8),
            column("etag", DataType::Utf8),
            column("file_bytes", DataType::UInt64),
            column("row_group_start", DataType::UInt32),
            column("row_group_end", DataType::UInt32),
            column("first_row", DataType::UInt64),
            column("rows", DataType::UInt64),
            column("bytes", DataType::UInt64),
        ],
        metadata,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_s_id_changes_with_file_state_and_cut() {
        let id = ShardId::of("a", "1", 0..1);
        assert_eq!(id, ShardId::of("a", "1", 0..1));
        for other in [
            ShardId::of("b", "1", 0..1),
            ShardId::of("a", "2", 0..1),
            ShardId::of("a", "1", 0..2),
            ShardId::of("a1", "", 0..1),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(ShardId::parse(id.as_str()), Some(id));
        assert_eq!(ShardId::parse("../../etc"), None);
    }
}
