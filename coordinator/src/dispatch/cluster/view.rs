//! What people are shown of a coordinated job: the bucket's word, and what the workers say in between.

use super::{coordinate::Coordinated, roster::Roster};
use crate::{
    dispatch::{Before, Change, Observation, Progress, Report},
    standing::Standing,
};
use capfilt_schemas::{cluster::WorkerReport, tally::Tally};

pub(super) struct View {
    pub progress: Progress,
    /// Of all runs.
    pub committed_rows: u64,
    pub workers: Roster,
    pub report: Report,
}

impl View {
    pub fn open(job: &Coordinated<'_>, now: &Standing) -> Self {
        let mut view = Self {
            progress: Progress::default(),
            committed_rows: 0,
            workers: Roster::default(),
            report: Report::default(),
        };
        view.count(job, now);
        view
    }

    /// Takes the bucket's word for what is done.
    pub fn count(&mut self, job: &Coordinated<'_>, now: &Standing) {
        let before = Before::of(job.plan, now, job.record.settings.limits.attempts);
        self.progress.shards_total = job.plan.len() as u64;
        self.progress.rows_total = job.plan.iter().map(|shard| shard.rows).sum();
        self.progress.shards_committed = before.shards_committed;
        self.progress.shards_quarantined = before.shards_quarantined;
        self.committed_rows = before.rows;
    }

    /// A worker was heard; the change, when it is the first time.
    pub fn alive(&mut self, report: WorkerReport) -> Option<Change> {
        let worker = report.worker.clone();
        self.workers.hear(report).then_some(Change::Joined { worker })
    }

    /// An attempt lost its shard to another.
    pub fn waste(&mut self, rows: u64) {
        self.report.superseded += 1;
        self.progress.wasted_rows += rows;
        self.report.wasted_rows = self.progress.wasted_rows;
    }

    /// Something happened, and where the job stands with it.
    pub fn seen<'a>(&'a mut self, change: &'a Change) -> Observation<'a> {
        self.progress.rows_done = self.committed_rows;
        self.progress.machines = self.workers.reports().cloned().collect();
        let mut tally = Tally::default();
        self.progress.machines.iter().for_each(|report| tally.merge(&report.tally));
        self.progress.tally = tally;
        Observation { change, progress: &self.progress }
    }
}
