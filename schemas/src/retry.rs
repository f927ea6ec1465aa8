//! A retry: the recorded request to execute failed shards or rows again, in the same job.

use crate::{
    job::JobDigest, object_keys::AttemptId, plan::ShardId, record::Record, settings::Limits,
    status::RowStatus,
};
use serde::{Deserialize, Serialize};

/// Version of the retry record.
pub const VERSION: u32 = 1;

/// `retries/<n>.json`, create-only. The next process of the job executes it. It is finished when the
/// requested commits exist, or their attempts are used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Number of the retry.
    pub n: u32,
    /// Failed attempts that no longer count.
    pub forgiven: Vec<AttemptId>,
    /// Shards to execute again.
    pub repairs: Vec<ShardRepair>,
    /// Rows to execute again in these shards.
    pub repair: Repair,
    /// The job of the record; `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Record for Retry {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "retry";
}

/// A shard that is executed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRepair {
    /// The shard.
    pub shard: ShardId,
    /// Number of the commit to create: one more than the repaired commit, or 0 for a shard without a result.
    pub commit_n: u32,
}

/// Rows to execute again, and their limits. All other rows keep the result of the repaired commit; without
/// such a commit, all rows are executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// Statuses of the rows to execute again.
    pub statuses: Vec<RowStatus>,
    /// Limits of the new attempts.
    pub limits: Limits,
}
