//! Hands out shards to worker processes. The commit protocol alone makes results correct; dispatch only
//! decides which process works on which shard.
//!
//! [`Work`] goes in, [`Observation`]s come out during the run, and an [`Outcome`] at its end. On every
//! machine a [`worker_pool`] runs one [`worker_process`] per device and feeds them from a [`queue`] in
//! memory. [`local`] puts the whole job into that queue. [`cluster`] refills it from a work queue that many
//! machines share, through a [`shard_source`].

mod attempt_spans;
pub mod cluster;
pub mod local;
mod oom_watch;
mod progress;
pub mod queue;
mod retry_policy;
pub mod shard_source;
mod totals;
pub mod worker_pool;
pub mod worker_process;
mod worker_slot;

pub use progress::{Change, Observation, Progress, Trouble, WorkerState, WorkerView};

use crate::{JobState, ShardState, Task};
use capfilt_bucket::BucketError;
use capfilt_schemas::{
    cluster::{Unreadable, WorkerReport},
    failure::Failure,
    job::JobDigest,
    plan::Shard,
};

/// What is left of a job, and what was done before.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// In plan order.
    pub tasks: Vec<Task>,
    /// `limits.attempts`.
    pub attempts: u32,
    pub before: Before,
    /// What failures on record carry; `None` where there is no `job.json`.
    pub job: Option<JobDigest>,
}

/// What earlier runs finished, so that progress is the job's and not the run's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    pub shards_committed: u64,
    pub shards_quarantined: u64,
    pub rows: u64,
}

impl Work {
    /// The plan, or a part of it, minus what is committed or quarantined.
    pub fn remaining<'a>(
        plan: impl IntoIterator<Item = &'a Shard> + Clone,
        job_state: &JobState,
        attempts: u32,
    ) -> Self {
        let before = Before::of(plan.clone(), job_state, attempts);
        let tasks = plan.into_iter().filter_map(|shard| job_state.task(shard, attempts)).collect();
        Self { tasks, attempts, before, job: job_state.job.clone() }
    }
}

impl Before {
    /// What is committed or quarantined of a plan, or of a part of it.
    pub fn of<'a>(plan: impl IntoIterator<Item = &'a Shard>, job_state: &JobState, attempts: u32) -> Self {
        let mut before = Self::default();
        for shard in plan {
            match job_state.of(&shard.id, attempts) {
                ShardState::Committed(_) => {
                    before.shards_committed += 1;
                    before.rows += shard.rows;
                }
                ShardState::Quarantined(_) => before.shards_quarantined += 1,
                ShardState::Open | ShardState::Repairing(_) => {}
            }
        }
        before
    }
}

/// How a run ended when nothing was wrong with the environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Every shard is committed or quarantined.
    Finished(Report),
    /// JobRequest to stop; the bucket holds all that was committed, and another run goes on from there.
    Interrupted(Report),
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    pub committed: u64,
    /// Shards done here that another process had committed first; they are not among `committed`.
    pub superseded: u64,
    /// Of the committed shards.
    pub rows: u64,
    /// Shards an idle worker was given while another was at them.
    pub copies: u64,
    /// Rows of attempts that lost their shard to another: done twice.
    pub wasted_rows: u64,
    /// AttemptSpans that failed and were followed by another.
    pub retries: u64,
    /// Worker processes that died and were replaced.
    pub restarts: u64,
    /// The failure that ended each shard that was given up.
    pub quarantined: Vec<Failure>,
    /// The cluster's workers that were there at the end, as they were heard last; a coordinator's report
    /// alone has them.
    pub machines: Vec<WorkerReport>,
}

/// Why a run stopped before its end. NoMore is lost by any of these: what was committed stays.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error(
        "the job was stopped, since what is wrong would go wrong with every shard: {}: {} (shard {}, {}); \
         nothing of this shard was committed", .0.class, .0.message, .0.shard, .0.worker
    )]
    Systemic(Box<Failure>),
    #[error("the worker on {device} could not start ({how}){}", shown(.last_words))]
    WorkerCannotStart { device: String, how: String, last_words: Vec<String> },
    #[error(
        "workers were ended from outside or hung {kills} times without a shard being committed in between (the last: {how}); \
         is there enough memory (see the kernel's log), and does anything else end processes here?{}", shown(.last_words)
    )]
    WorkersKilled { kills: u32, how: String, last_words: Vec<String> },
    #[error(
        "{failures} attempts in a row failed for the store, and no shard was committed in between; nothing is lost: look \
         after the store, and run the same command again (the last: {last})"
    )]
    StoreFails { failures: u32, last: String },
    #[error("the job was stopped: {found} (worker {worker} met it first: {why})")]
    Broken {
        #[source]
        found: Box<cluster::SharedFault>,
        worker: String,
        why: String,
    },
    #[error("cannot start the worker on {device}: {source}")]
    Spawn {
        device: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the coordinator stopped the job: {why}")]
    Stopped { why: String },
    #[error("cannot work on this job: {0}")]
    Foreign(#[from] Unreadable),
    #[error(transparent)]
    Connection(#[from] cluster::ConnectionError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

fn shown(last_words: &[String]) -> String {
    if last_words.is_empty() {
        String::new()
    } else {
        format!("; its last words:\n  {}", last_words.join("\n  "))
    }
}
