//! Failures of attempts, and their consequences for the shard and for the job.

use crate::{job::JobDigest, object_keys::AttemptId, plan::ShardId, record::Record, status::closed_set};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::Range};

closed_set! {
    /// Reason why an attempt ended without a commit.
    FailureClass {
        /// The store did not answer, or answered with an error that may pass.
        Store = "store",
        /// The destination of the outputs is full: a disk or a quota.
        StoreFull = "store_full",
        /// The input object differs from the planned one: it is missing, or has another ETag.
        InputChanged = "input_changed",
        /// The file cannot be read as its footer describes it.
        Unreadable = "unreadable",
        /// The device ran out of memory even at the smallest batch.
        DeviceMemory = "device_memory",
        /// The model failed or gave a NaN.
        Model = "model",
        /// The worker process died without an outside cause (abort, segmentation fault, panic).
        WorkerCrashed = "worker_crashed",
        /// The worker process was killed from outside.
        WorkerKilled = "worker_killed",
        /// The kernel killed the worker process because memory ran out.
        WorkerMemory = "worker_memory",
        /// The worker process sent no message for too long, and was killed.
        WorkerHung = "worker_hung",
        /// The worker process reaches no host of the web any more, with the job's links still to fetch.
        Network = "network",
        /// Too many rows of the shard failed with one status.
        FailureBudget = "failure_budget",
    }
}

impl FailureClass {
    /// Whether another attempt can help without a change.
    pub fn is_retryable(self) -> bool {
        !self.is_systemic() && self != Self::InputChanged
    }

    /// Whether the job must stop, because every other shard would fail too.
    pub fn is_systemic(self) -> bool {
        matches!(self, Self::FailureBudget | Self::Model | Self::StoreFull | Self::Network)
    }

    /// Whether the failure uses up one of `limits.attempts`: a kill from outside is not evidence against the
    /// shard.
    pub fn counts(self) -> bool {
        self != Self::WorkerKilled
    }

    /// Whether the failure uses up one of `limits.attempts`. A systemic failure stops the job and is not
    /// evidence against its shard.
    pub fn uses_an_attempt(self) -> bool {
        self.counts() && !self.is_systemic()
    }

    /// Whether the failure ends its shard at once, because another attempt without a change cannot help.
    pub fn is_final(self) -> bool {
        !self.is_retryable() && !self.is_systemic()
    }

    /// Whether the process was killed. Many kills without a commit point to a fault of the machine.
    pub fn is_kill(self) -> bool {
        matches!(self, Self::WorkerKilled | Self::WorkerMemory | Self::WorkerHung)
    }
}

/// `failures/<shard>/<attempt>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Shard of the attempt.
    pub shard: ShardId,
    /// The attempt that ended.
    pub attempt: AttemptId,
    /// Name of the worker process.
    pub worker: String,
    /// Kind of the failure.
    pub class: FailureClass,
    /// Reason, for people.
    pub message: String,
    /// For a dead worker process: its rows in process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<Crash>,
    /// The job of the record; `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Record for Failure {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "failure";
}

/// Rows in process when the process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// Row numbers in the input file; ranges may overlap.
    pub rows: Vec<Range<u64>>,
    /// Whether they are one row, alone in the process: then this row caused the end.
    pub alone: bool,
}

/// Version of the failure record.
pub const VERSION: u32 = 1;
