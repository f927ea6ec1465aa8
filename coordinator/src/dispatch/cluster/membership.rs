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

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::tally::Tally;
    use tokio::time::advance;

    const SILENT: Duration = Duration::from_secs(30);

    fn report(worker: &str, is_last: bool) -> WorkerReport {
        WorkerReport {
            worker: worker.to_owned(),
            devices: vec!["cpu".to_owned()],
            devices_ready: 1,
            shards_held: 0,
            in_hand: Vec::new(),
            rows: 0,
            tally: Tally::default(),
            wasted_rows: 0,
            seconds_up: 0.0,
            is_last,
        }
    }

    fn names(pools: &Membership) -> Vec<&str> {
        pools.reports().map(|report| report.worker.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_is_forgotten_after_its_silence_and_not_before() {
        let mut pools = Membership::default();
        assert!(pools.hear(report("a", false)) && pools.hear(report("b", false)));
        advance(SILENT - Duration::from_millis(1)).await;
        assert!(!pools.hear(report("b", false)), "the pool is known");
        pools.forget_silent(SILENT);
        assert_eq!(names(&pools), ["a", "b"]);
        advance(Duration::from_millis(1)).await;
        pools.forget_silent(SILENT);
        assert_eq!(names(&pools), ["b"]);
        assert!(!pools.hear(report("b", true)) && names(&pools).is_empty(), "a last report ends the pool");
    }
}
