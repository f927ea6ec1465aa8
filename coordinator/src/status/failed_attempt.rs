//! Failed attempts that a status shows.

use crate::state::JobState;
use capfilt_schemas::{
    failure::{Failure, FailureClass},
    plan::ShardId,
};
use serde::Serialize;

/// A failed attempt, as its record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedAttempt {
    /// Shard of the attempt.
    pub shard: ShardId,
    /// Name of the worker process.
    pub worker: String,
    /// Kind of the failure.
    pub class: FailureClass,
    /// Reason, for people; any text.
    pub message: String,
}

/// The newest failed attempts of a job, newest first.
pub(super) fn newest(state: &JobState) -> Vec<FailedAttempt> {
    let newest = state.newest_failures.iter();
    let records = newest
        .filter_map(|attempt| state.failures.values().flatten().find(|failure| failure.attempt == *attempt));
    let of = |failure: &Failure| FailedAttempt {
        shard: failure.shard.clone(),
        worker: failure.worker.clone(),
        class: failure.class,
        message: failure.message.clone(),
    };
    records.map(of).collect()
}
