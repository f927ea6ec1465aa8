//! Worker pools that have reported, with the time of their last reports.

use capfilt_schemas::queue_protocol::WorkerReport;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Last report of every worker pool, by its name.
#[derive(Debug, Default)]
pub(super) struct Membership(BTreeMap<String, (Instant, WorkerReport)>);

impl Membership {
    /// Stores a report; `true` for a new worker pool. A last report removes its pool.
    pub fn hear(&mut self, report: WorkerReport) -> bool {
        if report.is_last {
            self.0.remove(&report.worker);
            return false;
        }
        self.0.insert(report.worker.clone(), (Instant::now(), report)).is_none()
    }

    /// Removes worker pools without a report for `silent`.
    pub fn forget_silent(&mut self, silent: Duration) {
        self.0.retain(|_, (heard, _)| heard.elapsed() < silent);
    }

    pub fn reports(&self) -> impl Iterator<Item = &WorkerReport> {
        self.0.values().map(|(_, report)| report)
    }

    /// Every report, with the time since its arrival.
    pub fn heard(&self) -> impl Iterator<Item = (Duration, &WorkerReport)> {
        self.0.values().map(|(heard, report)| (heard.elapsed(), report))
    }
}
