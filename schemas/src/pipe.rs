//! What a parent and its device child say to each other: one JSON object per line, down the child's standard
//! input and up its standard output.
//!
//! ```text
//! parent                                   device child
//!   spawn ───────────────────────────────▶ loads the models, answers the known questions; wrongly: ends with code 3
//!        ◀───────────────────────── Ready
//!   Shard ───────────────────────────────▶ fetches, decodes; a second Shard may follow at once
//!        ◀────────────────────── Handling  which rows are in hand, before anything is done to them
//!        ◀─────────────────────── Started  the shard has reached the device
//!        ◀────────────────────── Progress  (any number)
//!        ◀───────────── Committed | Failed
//!   (end of file) ───────────────────────▶ finishes what it has, ends with code 0
//! ```

use crate::{
    commit::Cost,
    failure::{Failure, FailureClass},
    names::AttemptId,
    plan::{Shard, ShardId},
    retry::Repair,
    tally::Tally,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Shards a child may hold at once: one on the device, one being fetched and decoded.
pub const SHARDS_IN_CHILD: usize = 2;

/// Parent to child: work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub shard: Shard,
    pub attempt: AttemptId,
    /// Number of the commit to create: 0, or one more than the commit a retry repairs.
    pub commit_n: u32,
    /// Rows of the file that ended a process before; they are not touched, and get the status `crashed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<u64>,
    /// How the process ended on each of these, alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside_for: Vec<FailureClass>,
    /// Rows of the file that may end the process. Each is tried alone before the attempt begins, and what
    /// comes of it is thrown away: when the process ends, it is known by which row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub try_alone: Vec<Range<u64>>,
    /// Of a retry: what is done again, and under which limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
}

impl Assignment {
    /// All of a shard of which nothing is known.
    pub fn of(shard: Shard, attempt: AttemptId) -> Self {
        let (set_aside, set_aside_for, try_alone) = (Vec::new(), Vec::new(), Vec::new());
        Self { shard, attempt, commit_n: 0, set_aside, set_aside_for, try_alone, repair: None }
    }
}

/// Where rows are in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Decode,
    Device,
    /// One row goes through all stages, and nothing else does.
    Alone,
}

/// Child to parent: what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The models are loaded and proven.
    Ready {
        device: String,
        /// Its name in commits, failures and logs.
        #[serde(default)]
        worker: String,
    },
    /// From now on these rows of the file are in this stage's hands, and those it had before are not. This is
    /// the journal that tells which rows a crash may come from: what is written to a pipe outlives its
    /// writer.
    Handling { shard: ShardId, stage: Stage, rows: Range<u64> },
    /// The shard's first batch reached the device.
    Started { shard: ShardId },
    /// Rows of the shard that are done so far.
    Progress { shard: ShardId, rows: u64, tally: Tally },
    /// The shard has a result: this attempt's, or, when `superseded`, another's.
    Committed {
        shard: ShardId,
        attempt: AttemptId,
        rows: u64,
        tally: Tally,
        superseded: bool,
        /// This attempt's, also when it is superseded.
        #[serde(default)]
        cost: Cost,
    },
    /// The attempt ended without a result.
    Failed { failure: Failure },
}
