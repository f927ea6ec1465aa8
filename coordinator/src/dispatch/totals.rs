//! Counts of one run, and the state of the job that follows from them.

use super::{Before, Progress, Report, WorkerView};
use capfilt_schemas::tally::Tally;

/// Running counts of one run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Work committed by earlier runs, and by other processes during this run.
    before: Before,
    shards_total: u64,
    rows_total: u64,
    /// Tally of the rows committed in this run.
    tally: Tally,
    pub report: Report,
}

impl Totals {
    pub fn open(before: Before, shards: u64, rows: u64) -> Self {
        let shards_total = before.shards_committed + before.shards_quarantined + shards;
        Self { before, shards_total, rows_total: before.rows + rows, ..Self::default() }
    }

    /// Adds a shard.
    pub fn add(&mut self, rows: u64) {
        self.shards_total += 1;
        self.rows_total += rows;
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
