//! What a parent and its device child say to each other: one JSON object per line, down the child's standard input and
//! up its standard output.
//!
//! ```text
//! parent                                   device child
//!   spawn ───────────────────────────────▶ loads the models
//!        ◀───────────────────────── Ready
//!   Shard ───────────────────────────────▶ fetches, decodes; a second Shard may follow at once
//!        ◀─────────────────────── Started  the shard has reached the device
//!        ◀────────────────────── Progress  (any number)
//!        ◀───────────── Committed | Failed
//!   (end of file) ───────────────────────▶ finishes what it has, ends with code 0
//! ```

use crate::{failure::Failure, names::AttemptId, plan::Shard, plan::ShardId, tally::Tally};
use serde::{Deserialize, Serialize};

/// Shards a child may hold at once: one on the device, one being fetched and decoded.
pub const SHARDS_IN_CHILD: usize = 2;

/// Parent to child: work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub shard: Shard,
    pub attempt: AttemptId,
    /// Number of the commit to create: 0, or one more than the commit a retry repairs.
    pub commit_n: u32,
}

/// Child to parent: what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The models are loaded and proven.
    Ready { device: String },
    /// The shard's first batch reached the device.
    Started { shard: ShardId },
    /// Rows of the shard that are done so far.
    Progress { shard: ShardId, rows: u64, tally: Tally },
    /// The shard has a result: this attempt's, or, when `superseded`, another's.
    Committed { shard: ShardId, attempt: AttemptId, rows: u64, tally: Tally, superseded: bool },
    /// The attempt ended without a result.
    Failed { failure: Failure },
}
