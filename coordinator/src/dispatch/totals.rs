//! Counts of one run, and the state of the job that follows from them.

use super::{Before, Progress, Report, WorkerView};
use capfilt_schemas::{
    plan::{Shard, ShardId},
    tally::Tally,
};
use std::collections::HashMap;

/// Running counts of one run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Work committed by earlier runs, and by other processes during this run.
    before: Before,
    shards_total: u64,
    rows_total: u64,
    /// Planned rows of shards whose rows are estimates. Memory: 40 bytes for each of these shards.
    estimates: HashMap<ShardId, u64>,
    /// Tally of the rows committed in this run.
    tally: Tally,
    pub report: Report,
}

impl Totals {
    pub fn open<'a>(before: Before, shards: impl Iterator<Item = &'a Shard>) -> Self {
        let shards_total = before.shards_committed + before.shards_quarantined;
        let mut totals = Self { before, shards_total, rows_total: before.rows, ..Self::default() };
        shards.for_each(|shard| totals.add(shard));
        totals
    }

    /// Adds a shard.
    pub fn add(&mut self, shard: &Shard) {
        self.shards_total += 1;
        self.rows_total += shard.rows;
        if !shard.rows_exact {
            self.estimates.insert(shard.id.clone(), shard.rows);
        }
    }

    /// Replaces the estimate of a committed shard's rows by their number.
    pub fn learn(&mut self, shard: &ShardId, rows: u64) {
        if let Some(estimate) = self.estimates.remove(shard) {
            self.rows_total = (self.rows_total + rows).saturating_sub(estimate);
        }
    }

    /// Counts a shard that this process committed.
    pub fn commit(&mut self, rows: u64, tally: &Tally) {
        self.report.committed += 1;
        self.report.rows += rows;
        self.tally.merge(tally);
    }

    /// Counts a shard that another attempt, as far as known of another process, committed.
    pub fn lose(&mut self, rows: u64) {
        self.report.superseded += 1;
        self.before.shards_committed += 1;
        self.before.rows += rows;
    }

    /// Corrects [`Totals::lose`]: this process committed the shard after all.
    pub fn win(&mut self, rows: u64, tally: &Tally) {
        self.before.shards_committed -= 1;
        self.before.rows -= rows;
        self.commit(rows, tally);
    }

    /// Sets the queue's counts of speculative copies and wasted rows.
    pub fn waste(&mut self, copies: u64, wasted_rows: u64) {
        (self.report.copies, self.report.wasted_rows) = (copies, wasted_rows);
    }

    /// State of the job, including finished rows and tally of the shards in flight.
    pub fn progress(&self, (rows, mut tally): (u64, Tally), workers: Vec<WorkerView>) -> Progress {
        tally.merge(&self.tally);
        Progress {
            shards_total: self.shards_total,
            shards_committed: self.before.shards_committed + self.report.committed,
            shards_quarantined: self.before.shards_quarantined + self.report.quarantined.len() as u64,
            rows_total: self.rows_total,
            rows_exact: !self.before.is_estimate && self.estimates.is_empty(),
            rows_done: self.before.rows + self.report.rows + rows,
            rows_here: self.report.rows + rows,
            tally,
            retries: self.report.retries,
            copies: self.report.copies,
            wasted_rows: self.report.wasted_rows,
            workers,
            machines: Vec::new(),
            is_share: false,
            trouble: None,
        }
    }
}
