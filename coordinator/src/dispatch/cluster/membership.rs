//! The workers that were heard of, and when.

use capfilt_schemas::cluster::WorkerReport;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// The last report of every worker, by its name.
#[derive(Debug, Default)]
pub(super) struct Membership(BTreeMap<String, (Instant, WorkerReport)>);

impl Membership {
    /// Takes in a report; `true` for a worker that is new here. One that says its last is there no more.
    pub fn hear(&mut self, report: WorkerReport) -> bool {
        if report.is_last {
            self.0.remove(&report.worker);
            return false;
        }
        self.0.insert(report.worker.clone(), (Instant::now(), report)).is_none()
    }

    /// Strikes out who said nothing for so long.
    pub fn forget_silent(&mut self, silent: Duration) {
        self.0.retain(|_, (heard, _)| heard.elapsed() < silent);
    }

    pub fn reports(&self) -> impl Iterator<Item = &WorkerReport> {
        self.0.values().map(|(_, report)| report)
    }

    /// Every report with the time since it came.
    pub fn heard(&self) -> impl Iterator<Item = (Duration, &WorkerReport)> {
        self.0.values().map(|(heard, report)| (heard.elapsed(), report))
    }
}
