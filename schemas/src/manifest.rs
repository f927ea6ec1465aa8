//! The manifest: one dataset version, written last, when every shard is committed or quarantined.

use crate::{
    plan::{RefusedFile, ShardId},
    tally::Tally,
};
use serde::{Deserialize, Serialize};

/// Version of the manifest record.
pub const VERSION: u32 = 1;

/// `manifests/<n>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    pub n: u32,
    /// Digest over the commit records in plan order: it names the data.
    pub digest: String,
    pub shards: u64,
    pub rows: u64,
    pub tally: Tally,
    /// Shards whose result is not commit 0, with the number that is.
    pub repaired: Vec<Repaired>,
    /// Shards that have no result.
    pub quarantined: Vec<QuarantinedShard>,
    /// Input files that gave no shard.
    #[serde(default)]
    pub refused: Vec<RefusedFile>,
}

impl Manifest {
    /// Whether both describe the same data, whatever their numbers.
    pub fn is_same_data(&self, other: &Self) -> bool {
        *self == Self { n: self.n, ..other.clone() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    pub shard: ShardId,
    pub n: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedShard {
    pub shard: ShardId,
    pub rows: u64,
    /// The last failure, for people.
    pub reason: String,
}
