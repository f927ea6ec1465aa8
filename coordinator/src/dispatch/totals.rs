//! What a run has done so far, and where that leaves the job.

use super::{Before, Progress, Report, WorkerView};
use capfilt_schemas::tally::Tally;

/// The running account of one run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// What earlier runs committed, and in this run other processes.
    before: Before,
    shards_total: u64,
    rows_total: u64,
    /// Tally of  was committed in this run.
    tally: Tally,
    pub report: Report,
}

impl Totals {
    pub fn open(before: Before, shards: u64, rows: u64) -> Self {
        let shards_total = before.shards_committed + before.shards_quarantined + shards;
        Self { before, shards_total, rows_total: before.rows + rows, ..Self::default() }
    }

    /// One more shard to do.
    pub fn add(&mut self, rows: u64) {
        self.shards_total += 1;
        self.rows_total += rows;
    }

    /// A shard's result is of this process.
    pub fn commit(&mut self, rows: u64, tally: &Tally) {
        self.report.committed += 1;
        self.report.rows += rows;
        self.tally.merge(tally);
    }

    /// A shard's result is of another attempt, as far as is known of another process.
    pub fn lose(&mut self, rows: u64) {
        self.report.superseded += 1;
        self.before.shards_committed += 1;
        self.before.rows += rows;
    }

    /// The result that [`Totals::lose`] took for another's is of this process after all.
    pub fn win(&mut self, rows: u64, tally: &Tally) {
        self.before.shards_committed -= 1;
        self.before.rows -= rows;
        self.commit(rows, tally);
    }

    /// Takes the queue's word for what was done twice.
    pub fn waste(&mut self, copies: u64, wasted_rows: u64) {
        (self.report.copies, self.report.wasted_rows) = (copies, wasted_rows);
    }

    /// Where the job stands, with the rows and books of what is in flight.
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
