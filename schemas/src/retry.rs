//! A retry: the recorded wish that what failed be done again, in the same job.

use crate::{
    job::JobDigest, names::AttemptId, plan::ShardId, record::Record, settings::Limits, status::RowStatus,
};
use serde::{Deserialize, Serialize};

/// Version of the retry record.
pub const VERSION: u32 = 1;

/// `retries/<n>.json`, create-only. Everything in it is done by whoever works on the job next; it is over
/// when the commits it asks for are there, or their attempts are used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    pub version: u32,
    pub n: u32,
    /// Failed attempts that count no more.
    pub forgiven: Vec<AttemptId>,
    /// Shards to do again.
    pub repairs: Vec<ShardRepair>,
    pub repair: Repair,
    /// The job it belongs to; `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Record for Retry {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "retry";
}

/// A shard that is done again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRepair {
    pub shard: ShardId,
    /// Number of the commit to create: one more than the commit that is repaired; 0 for a shard without a
    /// result.
    pub commit_n: u32,
}

/// Which rows are done again, and how. All others stay as the repaired commit has them; where there is none,
/// all are done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// Rows that have one of these.
    pub statuses: Vec<RowStatus>,
    pub limits: Limits,
}
