//! Hands out shards to worker processes. The commit protocol alone makes results correct; dispatch only
//! decides which process works on which shard.
//!
//! [`Work`] goes in, [`Observation`]s come out during the run, and an [`Outcome`] at its end. On every
//! machine a [`worker_pool`] runs one [`worker_process`] per device and feeds them from a [`queue`] in
//! memory. [`local`] puts the whole job into that queue. [`cluster`] refills it from a work queue that many
//! machines share, through a [`shard_source`]. A [`single_worker`] tries some shards without a pool.

mod attempt_spans;
pub mod cluster;
pub mod local;
mod oom_watch;
mod orders;
mod progress;
mod progress_text;
pub mod queue;
mod retry_policy;
pub mod shard_source;
pub mod single_worker;
mod totals;
pub mod worker_pool;
pub mod worker_process;
mod worker_slot;

pub use orders::{Orders, READ_WITHIN};
pub use progress::{Change, Observation, Progress, Trouble, WorkerState, WorkerView};
pub use progress_text::kept;

use crate::{JobState, ShardState, Task};
use capfilt_schemas::{
    failure::Failure,
    job::JobDigest,
    plan::Shard,
    queue_protocol::{Unreadable, WorkerReport},
};
use capfilt_store::StoreError;

/// Remaining work of a job, and counts of the work that earlier runs finished.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Tasks in plan order.
    pub tasks: Vec<Task>,
    /// Attempts per shard (`limits.attempts`).
    pub attempts: u32,
    /// Counts before this run.
    pub before: Before,
    /// Job digest for the failure records; `None` without a `job.json`.
    pub job: Option<JobDigest>,
    /// Controls of the job: a pause hands out no shard.
    pub orders: Orders,
}

/// Work that earlier runs finished. Progress counts the whole job, not only this run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// Committed shards.
    pub shards_committed: u64,
    /// Quarantined shards.
    pub shards_quarantined: u64,
    /// Rows of committed shards.
    pub rows: u64,
    /// Whether `rows` contains estimates of the plan.
    pub is_estimate: bool,
}

impl Work {
    /// The plan, or a part of it, without the shards that are committed or quarantined.
    pub fn remaining<'a>(
        plan: impl IntoIterator<Item = &'a Shard> + Clone,
        job_state: &JobState,
        attempts: u32,
    ) -> Self {
        let before = Before::of(plan.clone(), job_state, attempts);
        let tasks = plan.into_iter().filter_map(|shard| job_state.task(shard, attempts)).collect();
        Self { tasks, attempts, before, job: job_state.job.clone(), orders: Orders::default() }
    }
}

impl Before {
    /// Counts the committed and quarantined shards of a plan, or of a part of it.
    pub fn of<'a>(plan: impl IntoIterator<Item = &'a Shard>, job_state: &JobState, attempts: u32) -> Self {
        let mut before = Self::default();
        for shard in plan {
            match job_state.of(&shard.id, attempts) {
                ShardState::Committed(_) => {
                    before.shards_committed += 1;
                    before.rows += shard.rows;
                    before.is_estimate |= !shard.rows_exact;
                }
                ShardState::Quarantined(_) => before.shards_quarantined += 1,
                ShardState::Open | ShardState::Repairing(_) => {}
            }
        }
        before
    }
}

/// End of a run in a sound environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Every shard is committed or quarantined.
    Finished(Report),
    /// The run stopped on request. The bucket holds every commit, and another run continues from the commits.
    Interrupted(Report),
}

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Shards that this run committed.
    pub committed: u64,
    /// Shards finished here after another process had committed them. They are not counted in `committed`.
    pub superseded: u64,
    /// Rows of the committed shards.
    pub rows: u64,
    /// Speculative copies: running shards that an idle worker process received too.
    pub copies: u64,
    /// Rows of attempts that lost their shard to another attempt: computed twice.
    pub wasted_rows: u64,
    /// Failed attempts that another attempt followed.
    pub retries: u64,
    /// Worker processes that died and were replaced.
    pub restarts: u64,
    /// The failure that quarantined each shard.
    pub quarantined: Vec<Failure>,
    /// Last reports of the cluster's worker pools that are present at the end. Only a coordinator fills the
    /// list.
    pub machines: Vec<WorkerReport>,
}

/// Reason why a run stopped before its end. Every commit remains valid.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum DispatchError {
    #[error(
        "the job was stopped, because every shard would fail in the same way: {}: {} (shard {}, {}); \
         nothing of this shard was committed", .0.class, .0.message, .0.shard, .0.worker
    )]
    Systemic(Box<Failure>),
    #[error("the worker process on {device} could not start ({how}){}", shown(.last_words))]
    WorkerCannotStart { device: String, how: String, last_words: Vec<String> },
    #[error(
        "worker processes were killed from outside or hung {kills} times, and no shard was committed in \
         between (the last: {how}); is there enough memory (see the kernel's log), and does another program \
         kill processes here?{}", shown(.last_words)
    )]
    WorkersKilled { kills: u32, how: String, last_words: Vec<String> },
    #[error(
        "{failures} attempts in a row failed at the store, and no shard was committed in between; all \
         commits are kept: repair the store, then run the same command again (the last failure: {last})"
    )]
    StoreFails { failures: u32, last: String },
    #[error("the job was stopped: {found} (worker {worker} was the first to fail: {why})")]
    Broken {
        #[source]
        found: Box<cluster::SharedFault>,
        worker: String,
        why: String,
    },
    #[error("cannot start the worker process on {device}: {source}")]
    Spawn {
        device: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the coordinator stopped the job: {why}")]
    Stopped { why: String },
    #[error("cannot take part in this job: {0}")]
    Foreign(#[from] Unreadable),
    #[error(transparent)]
    Connection(#[from] cluster::ConnectionError),
    #[error(transparent)]
    Location(#[from] StoreError),
}

fn shown(last_words: &[String]) -> String {
    if last_words.is_empty() {
        String::new()
    } else {
        format!("; last lines of its standard error:\n  {}", last_words.join("\n  "))
    }
}
