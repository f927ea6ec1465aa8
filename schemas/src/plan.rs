//! The plan: every shard of a job, as a Parquet table that is small even for a million shards.

use crate::hash::sha256_hex_of_parts;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

/// Version of the plan's columns.
pub const VERSION: u32 = 1;

/// Identity of a shard: equal row groups of the same file in the same state have the same id on every
/// machine.
///
/// The digits are stored inline, because a coordinator holds millions of ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId([u8; DIGITS]);

/// Digits of an id, which are 80 bits: a collision among a million shards has a probability of 10^-12, and
/// planning refuses it.
const DIGITS: usize = 20;

impl ShardId {
    pub fn of(path: &str, etag: &str, row_groups: Range<u32>) -> Self {
        let range = format!("{}..{}", row_groups.start, row_groups.end);
        let digest = sha256_hex_of_parts([path.as_bytes(), etag.as_bytes(), range.as_bytes()]);
        Self::parse(&digest[..DIGITS]).expect("a digest begins with digits")
    }

    /// Parses an id; `None` for any other text.
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
    pub bytes: u64,
}

/// An input file without a shard. Every description of the job lists it, so that no file is lost silently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    /// Path below the input's URL.
    pub path: String,
    pub etag: String,
    pub bytes: u64,
    /// Fault of the file, for people.
    pub reason: String,
}

/// The unit of work: consecutive row groups of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub id: ShardId,
    /// The file, shared by all its shards.
    #[serde(with = "shared")]
    pub file: Arc<InputFile>,
    pub row_groups: Range<u32>,
    /// Number of the shard's first row within the file.
    pub first_row: u64,
    pub rows: u64,
    /// Compressed bytes of the row groups.
    pub bytes: u64,
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
