//! `capfilt worker`: processes open shards of a planned job on this machine's devices.
//!
//! Workers need no contact with each other: one commit per shard wins, so two workers on one shard waste work
//! and do no other harm.

use super::cluster;
use crate::{
    args::{DeviceListArgs, WorkerArgs},
    metrics,
    progress::JobProgress,
};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln, shutdown};
use capfilt_coordinator::{
    JobState,
    dispatch::{
        Outcome, Report, Work,
        local::{self, RetryPolicy},
    },
    job,
    metrics::SharedMetrics,
    preflight,
};
use capfilt_runtime::{
    devices::{self, DevicePlan},
    release, worker_processes,
};
use capfilt_schemas::{job::JobRecord, plan::Shard};
use capfilt_store::Location;
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;

pub async fn run(args: &WorkerArgs) -> Ending {
    let stop = shutdown::on_signal();
    let metrics = metrics::start(args.metrics).await?;
    let part: Part = args.part.parse().map_err(anyhow::Error::msg).or_usage_error()?;
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let DeviceListArgs { devices, model_threads, decode_threads } = &args.devices;
    let devices = devices::devices(devices, *model_threads, *decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).or_environment_error()?;
    let policy = RetryPolicy { grace: Duration::from_secs(args.grace), ..RetryPolicy::default() };
    let outcome = match cluster::link(&args.cluster) {
        Some(link) => cluster::join(&bucket, link, &devices, policy, metrics, stop).await?,
        None => {
            let opening = async {
                let opened = job::load(&bucket).await.or_environment_error()?;
                preflight::require(&bucket).await.or_environment_error()?;
                Ok::<_, Failure>(opened)
            };
            let Some(opened) = shutdown::unless(&stop, opening).await.transpose()? else {
                return Ok(Exit::Interrupted);
            };
            let (record, plan) = opened;
            release::warn(&record);
            work(&bucket, &record, &part.of(&plan), &devices, policy, metrics, stop).await?
        }
    };
    match outcome {
        Outcome::Finished(report) => {
            conclude(&report, args.json);
            Ok(if report.quarantined.is_empty() { Exit::Done } else { Exit::WithQuarantine })
        }
        Outcome::Interrupted(_) => Ok(Exit::Interrupted),
    }
}

fn conclude(report: &Report, as_json: bool) {
    let Report { committed, rows, wasted_rows, .. } = report;
    let quarantined = report.quarantined.len();
    if as_json {
        outln!(
            "{}",
            json!({
                "committed_shards": committed, "rows": rows, "quarantined_shards": quarantined,
                "wasted_rows": wasted_rows,
            })
        );
    } else {
        outln!("{committed} shards committed, {rows} rows; `capfilt run` writes the manifest when all are");
    }
}

/// Part of a plan: every `of`-th shard, from the `index`-th on.
#[derive(Debug, Clone, Copy)]
struct Part {
    index: usize,
    of: usize,
}

impl Part {
    fn of(self, plan: &[Shard]) -> Vec<Shard> {
        plan.iter().skip(self.index).step_by(self.of).cloned().collect()
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            _ => Err(format!("part `{text}` is not i/n with i from 0 to n - 1, for example 0/4")),
        }
    }
}

/// Processes the open shards of a plan, or of a part of a plan, with one worker process per device.
pub async fn work(
    bucket: &Location,
    record: &JobRecord,
    plan: &[Shard],
    devices: &[DevicePlan],
    policy: RetryPolicy,
    metrics: SharedMetrics,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    let job_state =
        shutdown::unless(&stop, JobState::read(bucket)).await.transpose().or_environment_error()?;
    let Some(job_state) = job_state else { return Ok(Outcome::Interrupted(Report::default())) };
    let work = Work::remaining(plan, &job_state, record.settings.limits.attempts);
    // `work` has the open shards. The set of all commits is dropped to save memory.
    drop(job_state);
    let pool = worker_processes::pool(&bucket.url, devices, policy)?;
    let mut progress = JobProgress::start(metrics);
    let outcome = local::run(bucket, work, pool, |seen| progress.show(seen), stop).await;
    progress.finish();
    outcome.or_environment_error()
}
