//! Progress of a coordinated job, from the bucket's records and the worker pools' later messages.

use super::{coordinated_job::CoordinatedJob, membership::Membership};
use crate::{
    dispatch::{Before, Change, Observation, Progress, Report},
    state::{JobState, ShardState},
};
use capfilt_schemas::{plan::ShardId, queue_protocol::WorkerReport, tally::Tally};
use std::collections::{BTreeMap, HashMap};

pub(super) struct ClusterProgress {
    pub progress: Progress,
    /// Committed shards of all runs, according to the last listing of the bucket.
    bucket_shards: u64,
    committed_rows: u64,
    /// Shards that were committed, according to messages, since the last listing, with their rows.
    heard: HashMap<ShardId, u64>,
    /// Wasted rows by worker pool, including pools that have ended.
    wasted: BTreeMap<String, u64>,
    pub workers: Membership,
    pub report: Report,
}

impl ClusterProgress {
    pub fn open(job: &CoordinatedJob<'_>, now: &JobState) -> Self {
        let mut view = Self {
            progress: Progress::default(),
            bucket_shards: 0,
            committed_rows: 0,
            heard: HashMap::new(),
            wasted: BTreeMap::new(),
            workers: Membership::default(),
            report: Report::default(),
        };
        view.count(job, now);
        view
    }

    /// Sets the counts to those of the bucket.
    pub fn count(&mut self, job: &CoordinatedJob<'_>, now: &JobState) {
        let before = Before::of(job.plan, now, job.record.settings.limits.attempts);
        self.progress.shards_total = job.plan.len() as u64;
        self.progress.rows_total = job.plan.iter().map(|shard| shard.rows).sum();
        self.progress.rows_exact = job.plan.iter().all(|shard| shard.rows_exact);
        self.progress.shards_quarantined = before.shards_quarantined;
        (self.bucket_shards, self.committed_rows) = (before.shards_committed, before.rows);
        // The listing may be older than a commit whose message arrived meanwhile.
        self.heard.retain(|shard, _| is_open(job, now, shard));
    }

    /// Counts a commit that a pool reported; `false` if the commit is known from the bucket or an earlier
    /// message.
    pub fn commit(&mut self, job: &CoordinatedJob<'_>, now: &JobState, shard: &ShardId, rows: u64) -> bool {
        let is_new = is_open(job, now, shard) && self.heard.insert(shard.clone(), rows).is_none();
        if is_new {
            self.report.committed += 1;
            self.report.rows += rows;
        }
        is_new
    }

    /// Stores a report; returns a change if it is the first of its pool.
    pub fn alive(&mut self, report: WorkerReport) -> Option<Change> {
        let worker = report.worker.clone();
        self.wasted.insert(worker.clone(), report.wasted_rows);
        self.workers.hear(report).then_some(Change::Joined { worker })
    }

    /// Observation of a change, with the progress that includes it.
    pub fn seen<'a>(&'a mut self, change: &'a Change) -> Observation<'a> {
        self.progress.shards_committed = self.bucket_shards + self.heard.len() as u64;
        self.progress.rows_done = self.committed_rows + self.heard.values().sum::<u64>();
        self.progress.wasted_rows = self.wasted.values().sum();
        self.progress.machines = self.workers.reports().cloned().collect();
        let mut tally = Tally::default();
        self.progress.machines.iter().for_each(|report| tally.merge(&report.tally));
        self.progress.tally = tally;
        Observation { change, progress: &self.progress }
    }

    /// Report of the work that this coordinator saw.
    pub fn into_report(self) -> Report {
        let machines = self.workers.reports().cloned().collect();
        Report { wasted_rows: self.wasted.values().sum(), machines, ..self.report }
    }
}

/// Whether the bucket, at its last listing, had no commit of the shard.
fn is_open(job: &CoordinatedJob<'_>, now: &JobState, shard: &ShardId) -> bool {
    !matches!(now.of(shard, job.record.settings.limits.attempts), ShardState::Committed(_))
}
