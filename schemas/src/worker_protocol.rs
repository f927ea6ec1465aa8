//! Protocol between a parent process and a worker process: one JSON object per line, on the worker process's
//! standard input and standard output.
//!
//! ```text
//! parent                                   worker process (`capfilt device`)
//!   spawn ───────────────────────────────▶ loads the models, runs the self-test; exit code 3 if it fails
//!        ◀───────────────────────── Ready
//!   Shard ───────────────────────────────▶ fetches, decodes; a second Shard may follow at once
//!        ◀────────────────────── Handling  rows in process, reported before they are processed
//!        ◀─────────────────────── Started  the shard has reached the device
//!        ◀────────────────────── Progress  (any number)
//!        ◀───────────── Committed | Failed
//!   (end of file) ───────────────────────▶ finishes its shards, exits with code 0
//! ```

use crate::{
    commit::Cost,
    failure::{Failure, FailureClass},
    object_keys::AttemptId,
    plan::{Shard, ShardId},
    retry::Repair,
    tally::Tally,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Most shards of a worker process: one on the device, one being fetched and decoded.
pub const SHARDS_IN_CHILD: usize = 2;

/// Parent to worker process: a shard to execute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The shard to execute.
    pub shard: Shard,
    /// Identity of the attempt.
    pub attempt: AttemptId,
    /// Number of the commit to create: 0, or one more than the commit that a retry repairs.
    pub commit_n: u32,
    /// Rows of the file that ended a process before; they are skipped and get the status `crashed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<u64>,
    /// Failure class of each of these rows, when it was alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside_for: Vec<FailureClass>,
    /// Rows of the file that may end the process. Each is tried alone before the attempt begins, and its
    /// result is discarded: if the process ends, the row is identified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub try_alone: Vec<Range<u64>>,
    /// For a retry: the rows to execute again, and their limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
}

impl Assignment {
    /// Assigns a whole shard without records.
    pub fn of(shard: Shard, attempt: AttemptId) -> Self {
        let (set_aside, set_aside_for, try_alone) = (Vec::new(), Vec::new(), Vec::new());
        Self { shard, attempt, commit_n: 0, set_aside, set_aside_for, try_alone, repair: None }
    }
}

/// Stage that processes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Decoding, on the CPU's threads.
    Decode,
    /// Computation of the models.
    Device,
    /// One row goes through all stages, without other rows.
    Alone,
}

/// Worker process to parent: an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The models are loaded and have passed the self-test.
    Ready {
        /// Device of the process.
        device: String,
        /// Name of the worker process in commits, failure records and logs.
        #[serde(default)]
        worker: String,
    },
    /// From now on this stage processes these rows of the file, and no longer its earlier ones. After a
    /// crash, the last such events tell which rows may be the cause: data in a pipe outlives its writer.
    Handling {
        /// The shard of the rows.
        shard: ShardId,
        /// Stage that processes the rows.
        stage: Stage,
        /// Row numbers in the file.
        rows: Range<u64>,
    },
    /// The shard's first batch reached the device.
    Started {
        /// The shard.
        shard: ShardId,
    },
    /// Number of the shard's finished rows.
    Progress {
        /// The shard.
        shard: ShardId,
        /// Finished rows.
        rows: u64,
        /// Tally of the finished rows.
        tally: Tally,
    },
    /// The shard has a result: of this attempt or, if `superseded`, of another attempt.
    Committed {
        /// The shard.
        shard: ShardId,
        /// The attempt that ended.
        attempt: AttemptId,
        /// Rows of the shard.
        rows: u64,
        /// Tally of the shard's result.
        tally: Tally,
        /// Whether another attempt's result counts.
        superseded: bool,
        /// Cost of this attempt, also if it is superseded.
        #[serde(default)]
        cost: Cost,
    },
    /// The attempt ended without a commit.
    Failed {
        /// The failure record.
        failure: Failure,
    },
}
