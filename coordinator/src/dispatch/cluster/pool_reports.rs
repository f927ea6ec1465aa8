//! Reports of a worker pool to its cluster.

use super::queue_source::Reporter;
use crate::dispatch::{Change, Observation, WorkerState, WorkerView};
use capfilt_schemas::queue_protocol::{InHand, News, WorkerReport};
use std::time::Duration;
use tokio::time::Instant;

/// Interval of the reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Reports of a worker pool to the cluster.
pub(super) struct PoolReports {
    reporter: Reporter,
    /// Host and process number.
    name: String,
    devices: Vec<String>,
    started: Instant,
    last: Option<Instant>,
}

impl PoolReports {
    /// Reports of a pool that starts now.
    pub fn new(reporter: Reporter, name: String, devices: Vec<String>) -> Self {
        Self { reporter, name, devices, started: Instant::now(), last: None }
    }

    /// Reports an observation; the state at most once a second.
    pub fn take_in(&mut self, seen: &Observation<'_>) {
        match seen.change {
            Change::Committed { shard, rows, tally, superseded, cost } => {
                self.reporter.news(News::Committed {
                    shard: shard.clone(),
                    rows: *rows,
                    tally: tally.clone(),
                    superseded: *superseded,
                    cost: *cost,
                })
            }
            Change::Retrying { failure } | Change::Quarantined { failure } | Change::Stopping { failure } => {
                self.reporter.news(News::Failed { failure: failure.clone() });
            }
            Change::GivesUp { why } => {
                self.reporter.news(News::Left { worker: self.name.clone(), why: why.clone() })
            }
            _ => {}
        }
        let is_last = *seen.change == Change::Ends;
        if is_last || self.last.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            self.last = Some(Instant::now());
            self.reporter.alive(WorkerReport { is_last, ..self.report(seen) });
        }
    }

    fn report(&self, seen: &Observation<'_>) -> WorkerReport {
        let ready = seen.progress.workers.iter().filter_map(|worker| match worker.state {
            WorkerState::Ready { shards, .. } => Some(shards),
            WorkerState::Starting | WorkerState::Down => None,
        });
        let held: Vec<usize> = ready.collect();
        WorkerReport {
            worker: self.name.clone(),
            devices: self.devices.clone(),
            devices_ready: held.len(),
            shards_held: held.iter().sum(),
            in_hand: seen.progress.workers.iter().flat_map(in_hand).collect(),
            rows: seen.progress.rows_here,
            tally: seen.progress.tally.clone(),
            wasted_rows: seen.progress.wasted_rows,
            seconds_up: self.started.elapsed().as_secs_f64(),
            is_last: false,
        }
    }
}

fn in_hand(worker: &WorkerView) -> impl Iterator<Item = InHand> {
    let device = &worker.device;
    worker.in_hand.iter().map(move |held| InHand {
        shard: held.shard.clone(),
        device: device.clone(),
        rows: held.rows,
    })
}
