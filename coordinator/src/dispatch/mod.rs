//! Handing out shards. Correctness is the commit protocol's alone; what is here only decides who works on what.
//!
//! The seam is narrow: [`Work`] goes in, [`Observation`]s come out on the way, an [`Outcome`] at the end. On every machine
//! a [`crew`] of [`child`] processes, one per device, is kept busy from a [`queue`] in memory. [`embedded`]: that queue
//! holds the whole job. [`cluster`]: a [`feed`] fills it from a work queue that many machines share.

mod account;
mod attempts;
pub mod child;
pub mod cluster;
pub mod crew;
pub mod embedded;
pub mod feed;
mod observe;
mod oom;
mod policy;
pub mod queue;
mod slot;

pub use observe::{Change, Observation, Progress, Trouble, WorkerState, WorkerView};

use crate::{ShardState, Standing, Task};
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
        standing: &Standing,
        attempts: u32,
    ) -> Self {
        let before = Before::of(plan.clone(), standing, attempts);
        let tasks = plan.into_iter().filter_map(|shard| standing.task(shard, attempts)).collect();
        Self { tasks, attempts, before, job: standing.job.clone() }
    }
}

impl Before {
    /// What is committed or quarantined of a plan, or of a part of it.
    pub fn of<'a>(plan: impl IntoIterator<Item = &'a Shard>, standing: &Standing, attempts: u32) -> Self {
        let mut before = Self::default();
        for shard in plan {
            match standing.of(&shard.id, attempts) {
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
    /// Asked to stop; the bucket holds all that was committed, and another run goes on from there.
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
    /// Attempts that failed and were followed by another.
    pub retries: u64,
    /// Worker processes that died and were replaced.
    pub restarts: u64,
    /// The failure that ended each shard that was given up.
    pub quarantined: Vec<Failure>,
    /// The cluster's workers that were there at the end, as they were heard last; a coordinator's report alone has them.
    pub machines: Vec<WorkerReport>,
}

/// Why a run stopped before its end. Nothing is lost by any of these: what was committed stays.
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
        found: Box<cluster::Broken>,
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
    Link(#[from] cluster::LinkError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

fn shown(last_words: &[String]) -> String {
    if last_words.is_empty() { String::new() } else { format!("; its last words:\n  {}", last_words.join("\n  ")) }
}
