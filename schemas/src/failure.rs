//! What went wrong with a shard, and what that means for it and for the job.

use crate::{job::JobDigest, names::AttemptId, plan::ShardId, record::Record, status::closed_set};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::Range};

closed_set! {
    /// Why an attempt ended without a commit.
    FailureClass {
        /// The store did not answer, or answered with an error that may pass.
        Store = "store",
        /// There is no room left where the outputs go: a full disk, a quota.
        StoreFull = "store_full",
        /// The input object is not what was planned: gone, or another ETag.
        InputChanged = "input_changed",
        /// The file cannot be read as what its footer promised.
        Unreadable = "unreadable",
        /// The device ran out of memory even at the smallest batch.
        DeviceMemory = "device_memory",
        /// The model failed or gave a NaN.
        Model = "model",
        /// The worker process died of its own (abort, segmentation fault, panic).
        WorkerCrashed = "worker_crashed",
        /// The worker process was ended from outside.
        WorkerKilled = "worker_killed",
        /// The kernel ended the worker process for want of memory.
        WorkerMemory = "worker_memory",
        /// The worker process said nothing for too long, and was ended.
        WorkerHung = "worker_hung",
        /// Too many rows of the shard failed for one reason.
        FailureBudget = "failure_budget",
    }
}

impl FailureClass {
    /// Whether trying again can help without anyone changing anything.
    pub fn is_retryable(self) -> bool {
        !self.is_systemic() && self != Self::InputChanged
    }

    /// Whether the job must stop, since what is broken would break every other shard too.
    pub fn is_systemic(self) -> bool {
        matches!(self, Self::FailureBudget | Self::Model | Self::StoreFull)
    }

    /// Whether it uses up one of `limits.attempts`: what others did to the process says nothing about the
    /// shard.
    pub fn counts(self) -> bool {
        self != Self::WorkerKilled
    }

    /// Whether it uses up one of `limits.attempts`. A systemic failure stops the job and says nothing about
    /// its shard.
    pub fn uses_an_attempt(self) -> bool {
        self.counts() && !self.is_systemic()
    }

    /// Whether it ends its shard at once, since another attempt without a change cannot help.
    pub fn is_final(self) -> bool {
        !self.is_retryable() && !self.is_systemic()
    }

    /// Whether the process was ended and did not end of its own. With many of them and no commit, the machine
    /// is at fault.
    pub fn is_kill(self) -> bool {
        matches!(self, Self::WorkerKilled | Self::WorkerMemory | Self::WorkerHung)
    }
}

/// `failures/<shard>/<attempt>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub version: u32,
    pub shard: ShardId,
    pub attempt: AttemptId,
    pub worker: String,
    pub class: FailureClass,
    pub message: String,
    /// Of a worker that died: what it had in hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<Crash>,
    /// The job it belongs to; `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Record for Failure {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "failure";
}

/// Rows that were being handled when the process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// Row numbers in the input file; ranges may overlap.
    pub rows: Vec<Range<u64>>,
    /// Whether they were one row, alone in the process: then it is guilty.
    pub alone: bool,
}

/// Version of the failure record.
pub const VERSION: u32 = 1;
