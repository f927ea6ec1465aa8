//! What a running process lets a Prometheus server read: every name, its unit and its meaning, in this file
//! alone.
//!
//! Names begin with `capfilt_` and end with their unit; counters end with `_total` and count since this
//! process began. Gauges named `capfilt_job_…` are the whole job's; a worker of a cluster, which knows its
//! own shards alone, has none. Labels come from closed sets, besides a device's name. The coordinator of a
//! cluster counts what its workers told it, and a message may be lost; the bucket is the truth.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `capfilt_build_info` | `version` | always 1 |
//! | `capfilt_start_time_seconds` | | when this process began, since 1970 |
//! | `capfilt_job_shards` | `state` = committed, quarantined, open | shards of the job |
//! | `capfilt_job_rows` | `state` = done, left | rows of the job; rows of shards in flight are done as they come |
//! | `capfilt_committed_shards_total` | | shards that got their result |
//! | `capfilt_committed_rows_total` | `status` (as in the ledger) | rows of these, by what became of them |
//! | `capfilt_judged_texts_total` | `source` = web, synthetic; `verdict` = kept, dropped | texts of these |
//! | `capfilt_pairs_total` | | rows of the pairs table of these |
//! | `capfilt_stage_seconds_total` | `stage` = fetch, decode, device, write | time of their attempts; stages overlap |
//! | `capfilt_failed_attempts_total` | `class` (as in the failure records) | attempts without a result |
//! | `capfilt_retries_total` | | of these, followed by another |
//! | `capfilt_quarantined_shards_total` | | of these, the last of a shard that was given up |
//! | `capfilt_copied_shards_total` | | shards an idle worker was given while another was at them |
//! | `capfilt_wasted_rows_total` | | rows done by attempts that lost their shard to another |
//! | `capfilt_ended_workers_total` | | worker processes that ended before their time |
//! | `capfilt_workers` | `state` = starting, ready, down | this machine's workers, one per device |
//! | `capfilt_batch_images` | `worker`, `device` | images per model call; less than the job's after the device ran out of memory |
//! | `capfilt_shards_in_hand` | `worker`, `device` | shards a worker has |
//! | `capfilt_cluster_workers` | | worker processes of the cluster that were heard in the last seconds |

mod page;

use crate::dispatch::{Change, Observation, Progress, WorkerState};
use capfilt_schemas::{
    commit::Timings,
    failure::{Failure, FailureClass},
    status::{RowStatus, WebStatus},
    tally::Tally,
};
use page::{Kind, Page};
use std::{collections::BTreeMap, time::SystemTime};

/// What is counted; fed with all that a dispatcher observes.
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
    pub fn start() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start_time_seconds: now.as_secs_f64(), ..Self::default() }
    }

    pub fn take_in(&mut self, seen: &Observation<'_>) {
        match seen.change {
            // A superseded attempt's books are another's, who counts them.
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

    /// The page a Prometheus server reads, in the text format's version 0.0.4.
    pub fn page(&self) -> String {
        let mut page = Page::default();
        page.family("capfilt_build_info", Kind::Gauge, "The program that runs; always 1.");
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.family(
            "capfilt_start_time_seconds",
            Kind::Gauge,
            "When this process began, in seconds since 1970.",
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
            "Rows of the whole job, those of shards in flight as they are done.",
        );
        page.count(&[("state", "done")], rows_done);
        page.count(&[("state", "left")], rows_total.saturating_sub(rows_done));
    }

    fn results(&self, page: &mut Page) {
        let tally = &self.committed;
        page.family("capfilt_committed_shards_total", Kind::Counter, "Shards that got their result.");
        page.count(&[], self.committed_shards);
        page.family(
            "capfilt_committed_rows_total",
            Kind::Counter,
            "Rows of these shards, by what became of them.",
        );
        RowStatus::ALL
            .iter()
            .for_each(|status| page.count(&[("status", status.as_str())], tally.count(*status)));
        page.family(
            "capfilt_judged_texts_total",
            Kind::Counter,
            "Texts of these shards that the filter judged.",
        );
        let web = tally.web.get(&WebStatus::Judged).copied().unwrap_or(0);
        for (source, kept, judged) in
            [("web", tally.web_kept, web), ("synthetic", tally.synthetic_kept, tally.synthetic)]
        {
            page.count(&[("source", source), ("verdict", "kept")], kept);
            page.count(&[("source", source), ("verdict", "dropped")], judged.saturating_sub(kept));
        }
        page.family("capfilt_pairs_total", Kind::Counter, "Rows of these shards' pairs tables.");
        page.count(&[], tally.pairs);
        page.family(
            "capfilt_stage_seconds_total",
            Kind::Counter,
            "Seconds these shards' attempts spent in each stage; stages overlap.",
        );
        self.stages.stages().iter().for_each(|(stage, seconds)| page.sample(&[("stage", stage)], *seconds));
    }

    fn troubles(&self, page: &mut Page) {
        page.family(
            "capfilt_failed_attempts_total",
            Kind::Counter,
            "Attempts that ended without a result, by class.",
        );
        for class in FailureClass::ALL {
            page.count(&[("class", class.as_str())], self.failed_attempts.get(class).copied().unwrap_or(0));
        }
        for (name, help, count) in [
            ("capfilt_retries_total", "Failed attempts that were followed by another.", self.retries),
            ("capfilt_quarantined_shards_total", "Shards that were given up.", self.quarantined_shards),
            (
                "capfilt_copied_shards_total",
                "Shards an idle worker was given while another was at them.",
                self.progress.copies,
            ),
            (
                "capfilt_wasted_rows_total",
                "Rows done by attempts that lost their shard to another.",
                self.progress.wasted_rows,
            ),
            (
                "capfilt_ended_workers_total",
                "Worker processes that ended before their time.",
                self.ended_workers,
            ),
        ] {
            page.family(name, Kind::Counter, help);
            page.count(&[], count);
        }
    }

    fn workers(&self, page: &mut Page) {
        let workers = &self.progress.workers;
        page.family("capfilt_workers", Kind::Gauge, "Workers of this machine, one per device, by state.");
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
            "Images per model call, as of the worker's last commit.",
        );
        for (index, worker) in numbered() {
            if let Some(batch) = worker.batch {
                page.count(&[("worker", &index), ("device", &worker.device)], u64::from(batch));
            }
        }
        page.family("capfilt_shards_in_hand", Kind::Gauge, "Shards a worker has.");
        for (index, worker) in numbered() {
            page.count(&[("worker", &index), ("device", &worker.device)], worker.in_hand.len() as u64);
        }
        page.family("capfilt_cluster_workers", Kind::Gauge, "Worker processes of the cluster heard lately.");
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
