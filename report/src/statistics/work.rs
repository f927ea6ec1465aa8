//! Work of the job: time per stage, worker processes, failed attempts, and tables that do not count.

use capfilt_coordinator::{JobError, Throughput, gc, status};
use capfilt_schemas::{
    commit::{Commit, Timings},
    failure::FailureClass,
};
use capfilt_store::Location;
use serde::Serialize;
use std::collections::BTreeMap;

/// Worker processes that the report lists.
const LISTED: usize = 50;

/// Most commits of a job whose unused objects are counted: this reads every commit again.
const COUNTED_COMMITS: u64 = 4096;

/// Work of the job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// Seconds of all committed attempts, by stage. Stages overlap in time.
    pub timings: Timings,
    /// Judged images of the committed attempts.
    pub images: u64,
    /// Committed attempts.
    pub attempts: u64,
    /// Commits that replaced an earlier one, because of a retry.
    pub repaired: u64,
    /// Failed attempts, by class; shards of them may have been committed later.
    pub failures: BTreeMap<FailureClass, u64>,
    /// Objects that no commit names; `None` for a job with more than 4,096 shards, in which `capfilt gc`
    /// counts them.
    pub unused: Option<Unused>,
    /// Number of all worker processes.
    pub workers_total: u64,
    /// Worker processes, most images first.
    pub workers: Vec<Worker>,
    /// Speed of the newest commits; `None` without a commit.
    pub pace: Option<Throughput>,
}

/// Objects of killed, failed and speculative attempts, which do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// Number of the objects.
    pub objects: u64,
    /// Bytes of the objects.
    pub bytes: u64,
}

/// A worker process.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Worker {
    /// Name of the process.
    pub worker: String,
    /// Committed shards.
    pub shards: u64,
    /// Rows of these shards.
    pub rows: u64,
    /// Judged images of these shards.
    pub images: u64,
    /// Seconds of these attempts. Two attempts of a process overlap by some seconds.
    pub seconds: f64,
}

/// Sums over commits. Memory: 200 bytes per worker process.
#[derive(Debug, Default)]
pub(super) struct WorkCounts {
    timings: Timings,
    images: u64,
    attempts: u64,
    repaired: u64,
    workers: BTreeMap<String, Worker>,
}

impl WorkCounts {
    pub fn add(&mut self, commit: &Commit) {
        self.timings.merge(&commit.timings);
        self.images += commit.tally.judged();
        self.attempts += 1;
        self.repaired += u64::from(commit.n > 0);
        let new = || Worker { worker: commit.worker.clone(), ..Worker::default() };
        let worker = self.workers.entry(commit.worker.clone()).or_insert_with(new);
        worker.shards += 1;
        worker.rows += commit.rows;
        worker.images += commit.tally.judged();
        worker.seconds += commit.timings.total_seconds;
    }

    /// Completes the sums with the job's other records.
    pub async fn finish(self, bucket: &Location) -> Result<Work, JobError> {
        let status = status(bucket).await?;
        let unused = match self.attempts {
            0..=COUNTED_COMMITS => {
                let found = gc::find(bucket).await?;
                Some(Unused { objects: found.objects.len() as u64, bytes: found.bytes() })
            }
            _ => None,
        };
        let workers_total = self.workers.len() as u64;
        let mut workers: Vec<Worker> = self.workers.into_values().collect();
        workers.sort_by(|a, b| b.images.cmp(&a.images).then_with(|| a.worker.cmp(&b.worker)));
        workers.truncate(LISTED);
        Ok(Work {
            timings: self.timings,
            images: self.images,
            attempts: self.attempts,
            repaired: self.repaired,
            failures: status.failures,
            unused,
            workers_total,
            workers,
            pace: status.pace,
        })
    }
}
