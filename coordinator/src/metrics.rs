//! Prometheus metrics of a running process. This file alone has every name, unit and meaning.
//!
//! Names begin with `capfilt_` and end with their unit. Counters end with `_total` and count since this
//! process started. Gauges named `capfilt_job_…` cover the whole job; a worker pool of a cluster knows only
//! its own shards and omits these gauges. Labels come from closed sets, except names of devices and of text
//! columns. The coordinator of a cluster counts the messages of the worker pools, and a message may be lost;
//! the bucket has the exact counts.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `capfilt_build_info` | `version` | always 1 |
//! | `capfilt_start_time_seconds` | | start of this process, in seconds since 1970 |
//! | `capfilt_job_shards` | `state` = committed, quarantined, open | shards of the job |
//! | `capfilt_job_rows` | `state` = done, left | rows of the job; includes finished rows of running shards |
//! | `capfilt_committed_shards_total` | | committed shards |
//! | `capfilt_committed_rows_total` | `status` (as in the ledger) | rows of the committed shards |
//! | `capfilt_judged_texts_total` | `source` (as in the ledger); `verdict` = kept, dropped | judged texts |
//! | `capfilt_pairs_total` | | rows of the committed shards' pairs tables |
//! | `capfilt_stage_seconds_total` | `stage` = fetch, decode, device, write | time of these attempts |
//! | `capfilt_failed_attempts_total` | `class` (as in the failure records) | attempts without a commit |
//! | `capfilt_retries_total` | | failed attempts that another attempt followed |
//! | `capfilt_quarantined_shards_total` | | quarantined shards |
//! | `capfilt_copied_shards_total` | | speculative copies: running shards that an idle worker received too |
//! | `capfilt_wasted_rows_total` | | rows of attempts that lost their shard to another attempt |
//! | `capfilt_ended_workers_total` | | worker processes that ended before their work was finished |
//! | `capfilt_workers` | `state` = starting, ready, down | this machine's worker processes, one per device |
//! | `capfilt_batch_images` | `worker`, `device` | images per model call, fewer after out-of-memory |
//! | `capfilt_shards_in_hand` | `worker`, `device` | shards that a worker process holds |
//! | `capfilt_cluster_workers` | | worker processes of the cluster that reported in the last seconds |

mod page;
mod server;

use crate::dispatch::{Change, Observation, Progress, WorkerState};
use capfilt_schemas::{
    commit::Timings,
    failure::{Failure, FailureClass},
    status::RowStatus,
    tally::Tally,
};
use page::{Kind, Page};
pub use server::{SharedMetrics, serve};
use std::{collections::BTreeMap, time::SystemTime};

/// Counts and gauges, updated with every observation of a dispatcher.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    start_time_seconds: f64,
    committed_shards: u64,
    committed: Tally,
    stages: Timings,
    failed_attempts: BTreeMap<FailureClass, u64>,
    retries: u64,
    quarantined_shards: u64,
    ended_workers: u64,
    progress: Progress,
}

impl Metrics {
    /// Starts with zero counts.
    pub fn start() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start_time_seconds: now.as_secs_f64(), ..Self::default() }
    }

    /// Counts an observation.
    pub fn take_in(&mut self, seen: &Observation<'_>) {
        match seen.change {
            // A superseded attempt's tally is not counted: the process with the commit counts the rows.
            Change::Committed { tally, cost, superseded: false, .. } => {
                self.committed_shards += 1;
                self.committed.merge(tally);
                self.stages.merge(&cost.timings);
            }
            Change::Retrying { failure } => {
                self.retries += 1;
                self.fail(failure);
            }
            Change::Quarantined { failure } => {
                self.quarantined_shards += 1;
                self.fail(failure);
            }
            Change::Stopping { failure } | Change::GivenBack { failure } => self.fail(failure),
            Change::WorkerEnded { .. } => self.ended_workers += 1,
            _ => {}
        }
        self.progress.clone_from(seen.progress);
    }

    fn fail(&mut self, failure: &Failure) {
        *self.failed_attempts.entry(failure.class).or_default() += 1;
    }

    /// Prometheus page in version 0.0.4 of the text format.
    pub fn page(&self) -> String {
        let mut page = Page::default();
        page.family("capfilt_build_info", Kind::Gauge, "The program that runs; always 1.");
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.family(
            "capfilt_start_time_seconds",
            Kind::Gauge,
            "Start of this process, in seconds since 1970.",
        );
        page.sample(&[], self.start_time_seconds);
        self.job(&mut page);
        self.results(&mut page);
        self.troubles(&mut page);
        self.workers(&mut page);
        page.text()
    }

    fn job(&self, page: &mut Page) {
        if self.progress.is_share {
            return;
        }
        let Progress { shards_total, shards_committed, shards_quarantined, rows_total, rows_done, .. } =
            self.progress;
        page.family("capfilt_job_shards", Kind::Gauge, "Shards of the whole job, by state.");
        let open = shards_total.saturating_sub(shards_committed + shards_quarantined);
        for (state, shards) in
            [("committed", shards_committed), ("quarantined", shards_quarantined), ("open", open)]
        {
            page.count(&[("state", state)], shards);
        }
        page.family(
            "capfilt_job_rows",
            Kind::Gauge,
            "Rows of the whole job, by state; finished rows of running shards are done.",
        );
        page.count(&[("state", "done")], rows_done);
        page.count(&[("state", "left")], rows_total.saturating_sub(rows_done));
    }

    fn results(&self, page: &mut Page) {
        let tally = &self.committed;
        page.family("capfilt_committed_shards_total", Kind::Counter, "Committed shards.");
        page.count(&[], self.committed_shards);
        page.family("capfilt_committed_rows_total", Kind::Counter, "Rows of committed shards, by status.");
        RowStatus::ALL
            .iter()
            .for_each(|status| page.count(&[("status", status.as_str())], tally.count(*status)));
        page.family(
            "capfilt_judged_texts_total",
            Kind::Counter,
            "Texts of committed shards that the filter judged.",
        );
        for (source, texts) in &tally.texts {
            page.count(&[("source", source), ("verdict", "kept")], texts.kept);
            page.count(
                &[("source", source), ("verdict", "dropped")],
                texts.judged().saturating_sub(texts.kept),
            );
        }
        page.family("capfilt_pairs_total", Kind::Counter, "Rows of the pairs tables of committed shards.");
        page.count(&[], tally.pairs);
        page.family(
            "capfilt_stage_seconds_total",
            Kind::Counter,
            "Seconds of committed attempts in each stage; stages overlap.",
        );
        self.stages.stages().iter().for_each(|(stage, seconds)| page.sample(&[("stage", stage)], *seconds));
    }

    fn troubles(&self, page: &mut Page) {
        page.family(
            "capfilt_failed_attempts_total",
            Kind::Counter,
            "Attempts that ended without a commit, by failure class.",
        );
        for class in FailureClass::ALL {
            page.count(&[("class", class.as_str())], self.failed_attempts.get(class).copied().unwrap_or(0));
        }
        for (name, help, count) in [
            ("capfilt_retries_total", "Failed attempts that another attempt followed.", self.retries),
            ("capfilt_quarantined_shards_total", "Quarantined shards.", self.quarantined_shards),
            (
                "capfilt_copied_shards_total",
                "Speculative copies: running shards that an idle worker process received too.",
                self.progress.copies,
            ),
            (
                "capfilt_wasted_rows_total",
                "Rows of attempts that lost their shard to another attempt.",
                self.progress.wasted_rows,
            ),
            (
                "capfilt_ended_workers_total",
                "Worker processes that ended before their work was finished.",
                self.ended_workers,
            ),
        ] {
            page.family(name, Kind::Counter, help);
            page.count(&[], count);
        }
    }

    fn workers(&self, page: &mut Page) {
        let workers = &self.progress.workers;
        page.family(
            "capfilt_workers",
            Kind::Gauge,
            "Worker processes of this machine, one per device, by state.",
        );
        for name in ["starting", "ready", "down"] {
            page.count(
                &[("state", name)],
                workers.iter().filter(|worker| state(worker.state) == name).count() as u64,
            );
        }
        let numbered = || workers.iter().enumerate().map(|(index, worker)| (index.to_string(), worker));
        page.family(
            "capfilt_batch_images",
            Kind::Gauge,
            "Images per model call in the last commit of the worker process.",
        );
        for (index, worker) in numbered() {
            if let Some(batch) = worker.batch {
                page.count(&[("worker", &index), ("device", &worker.device)], u64::from(batch));
            }
        }
        page.family("capfilt_shards_in_hand", Kind::Gauge, "Shards that a worker process holds.");
        for (index, worker) in numbered() {
            page.count(&[("worker", &index), ("device", &worker.device)], worker.in_hand.len() as u64);
        }
        page.family(
            "capfilt_cluster_workers",
            Kind::Gauge,
            "Worker processes of the cluster that reported in the last seconds.",
        );
        page.count(&[], self.progress.machines.len() as u64);
    }
}

fn state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "starting",
        WorkerState::Ready { .. } => "ready",
        WorkerState::Down => "down",
    }
}
