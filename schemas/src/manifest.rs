//! The manifest: one dataset version, written last, when every shard is committed or quarantined.

use crate::{
    job::JobDigest,
    plan::{RefusedFile, ShardId},
    record::Record,
    tally::Tally,
};
use serde::{Deserialize, Serialize};

/// Version of the manifest record. Version 1 counted one text of the input per row.
pub const VERSION: u32 = 2;

/// `manifests/<n>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Number of the manifest; the highest is the current version.
    pub n: u32,
    /// Digest over the commit records in plan order: it identifies the data.
    pub digest: String,
    /// Committed shards.
    pub shards: u64,
    /// Rows of the committed shards.
    pub rows: u64,
    /// Sum of the commits' tallies.
    pub tally: Tally,
    /// Shards whose result is not commit 0, with the number of the current commit.
    pub repaired: Vec<Repaired>,
    /// Shards without a result.
    pub quarantined: Vec<QuarantinedShard>,
    /// Input files that gave no shard.
    #[serde(default)]
    pub refused: Vec<RefusedFile>,
    /// The job of the record; `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Record for Manifest {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "manifest";
}

impl Manifest {
    /// Whether both describe the same data of one job, under any numbers and versions. A manifest without a
    /// job digest is compared without it, so that a job that is older than the field keeps its manifest.
    pub fn is_same_data(&self, other: &Self) -> bool {
        let is_same_job = self.job.is_none() || other.job.is_none() || self.job == other.job;
        let (version, n, job) = (self.version, self.n, self.job.clone());
        is_same_job && *self == Self { version, n, job, ..other.clone() }
    }
}

/// A shard whose result is a later commit than the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// The shard.
    pub shard: ShardId,
    /// Number of its current commit.
    pub n: u32,
}

/// A shard without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedShard {
    /// The shard.
    pub shard: ShardId,
    /// Planned rows of the shard.
    pub rows: u64,
    /// The last failure, for people.
    pub reason: String,
}
