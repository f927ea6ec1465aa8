//! What people are shown of a coordinated job: the bucket's word, and what the workers say in between.

use super::{coordinated_job::CoordinatedJob, membership::Membership};
use crate::{
    dispatch::{Before, Change, Observation, Progress, Report},
    state::{JobState, ShardState},
};
use capfilt_schemas::{cluster::WorkerReport, plan::ShardId, tally::Tally};
use std::collections::{BTreeMap, HashMap};

pub(super) struct ClusterProgress {
    pub progress: Progress,
    /// Committed shards of all runs and their rows, by the bucket's word.
    bucket_shards: u64,
    committed_rows: u64,
    /// Shards that a worker has committed since the bucket was looked at, with their rows.
    heard: HashMap<ShardId, u64>,
    /// Rows that workers did for nothing, by worker; those that are gone are among them.
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

    /// Takes the bucket's word for what is done.
    pub fn count(&mut self, job: &CoordinatedJob<'_>, now: &JobState) {
        let before = Before::of(job.plan, now, job.record.settings.limits.attempts);
        self.progress.shards_total = job.plan.len() as u64;
        self.progress.rows_total = job.plan.iter().map(|shard| shard.rows).sum();
        self.progress.shards_quarantined = before.shards_quarantined;
        (self.bucket_shards, self.committed_rows) = (before.shards_committed, before.rows);
        // A listing may be older than a commit that was heard of meanwhile.
        self.heard.retain(|shard, _| is_open(job, now, shard));
    }

    /// A worker has committed a shard; `false` when that is known, from the bucket or from an earlier word.
    pub fn commit(&mut self, job: &CoordinatedJob<'_>, now: &JobState, shard: &ShardId, rows: u64) -> bool {
        let is_new = is_open(job, now, shard) && self.heard.insert(shard.clone(), rows).is_none();
        if is_new {
            self.report.committed += 1;
            self.report.rows += rows;
        }
        is_new
    }

    /// A worker was heard; the change, when it is the first time.
    pub fn alive(&mut self, report: WorkerReport) -> Option<Change> {
        let worker = report.worker.clone();
        self.wasted.insert(worker.clone(), report.wasted_rows);
        self.workers.hear(report).then_some(Change::Joined { worker })
    }

    /// Something happened, and where the job stands with it.
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

    /// The account of what this coordinator saw.
    pub fn into_report(self) -> Report {
        let machines = self.workers.reports().cloned().collect();
        Report { wasted_rows: self.wasted.values().sum(), machines, ..self.report }
    }
}

/// Whether the bucket's word does not have a shard's result yet.
fn is_open(job: &CoordinatedJob<'_>, now: &JobState, shard: &ShardId) -> bool {
    !matches!(now.of(shard, job.record.settings.limits.attempts), ShardState::Committed(_))
}
