//! `capfilt worker`: open shards of a planned job, worked on by this machine's devices.
//!
//! Workers need not know of each other: one commit per shard wins, so two that overlap waste work and nothing else.

use super::cluster;
use crate::{
    args::{DeviceListArgs, WorkerArgs},
    exit::{Blame as _, Ending, Exit, Failure},
    machine::{self, DevicePlan},
    parent,
    progress::JobProgress,
    release, say,
    scrape::{self, SharedMetrics},
    stop, surroundings,
};
use anyhow::anyhow;
use capfilt_bucket::Bucket;
use capfilt_coordinator::{
    JobState,
    dispatch::{
        Outcome, Report, Work,
        local::{self, RetryPolicy},
        worker_pool::WorkerPool,
    },
    job, preflight,
};
use capfilt_schemas::{job::JobRecord, plan::Shard};
use serde_json::json;
use std::time::Duration;
use tokio::{process::Command, sync::watch};

pub async fn run(args: &WorkerArgs) -> Ending {
    let stop = stop::on_signal();
    let metrics = scrape::serve(args.metrics).await?;
    let part: Part = args.part.parse().map_err(anyhow::Error::msg).usage()?;
    let bucket = Bucket::open(&args.job).usage()?;
    let DeviceListArgs { devices, model_threads, decode_threads } = &args.devices;
    let devices = machine::devices(devices, *model_threads, *decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).environment()?;
    let policy = RetryPolicy { grace: Duration::from_secs(args.grace), ..RetryPolicy::default() };
    let outcome = match cluster::link(&args.cluster) {
        Some(link) => cluster::join(&bucket, link, &devices, policy, metrics, stop).await?,
        None => {
            let opening = async {
                let opened = job::load(&bucket).await.environment()?;
                preflight::require(&bucket).await.environment()?;
                Ok::<_, Failure>(opened)
            };
            let Some(opened) = stop::unless(&stop, opening).await.transpose()? else { return Ok(Exit::Interrupted) };
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
            json!({"committed_shards": committed, "rows": rows, "quarantined_shards": quarantined, "wasted_rows": wasted_rows})
        );
    } else {
        outln!("{committed} shards committed, {rows} rows; `capfilt run` seals the job when all are");
    }
}

/// Every `of`-th shard of a plan, from the `index`-th on.
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
        let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            _ => Err(format!("part `{text}` is not i/n with i from 0 to n - 1, for example 0/4")),
        }
    }
}

/// Works on what is open of a plan, or of a part of one, with one process per device.
pub async fn work(
    bucket: &Bucket,
    record: &JobRecord,
    plan: &[Shard],
    devices: &[DevicePlan],
    policy: RetryPolicy,
    metrics: SharedMetrics,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    let job_state = stop::unless(&stop, JobState::read(bucket)).await.transpose().environment()?;
    let Some(job_state) = job_state else { return Ok(Outcome::Interrupted(Report::default())) };
    let work = Work::remaining(plan, &job_state, record.settings.limits.attempts);
    // It says what is open; a set of all commits need not be held while the work is done.
    drop(job_state);
    let pool = pool(&bucket.place.url, devices, policy)?;
    let mut progress = JobProgress::start(metrics);
    let outcome = local::run(bucket, work, pool, |seen| progress.show(seen), stop).await;
    progress.finish();
    outcome.environment()
}

/// One child process of this program per device.
pub fn pool(
    job_url: &str,
    devices: &[DevicePlan],
    policy: RetryPolicy,
) -> Result<WorkerPool<impl Fn(&str, usize) -> Command>, Failure> {
    let program =
        std::env::current_exe().map_err(|error| anyhow!("this program cannot find itself: {error}")).environment()?;
    let (job_url, plans) = (job_url.to_owned(), devices.to_vec());
    let command = move |device: &str, index: usize| {
        let mut command = Command::new(&program);
        parent::bind(command.as_std_mut()).args(["--log-format", say::format()]);
        surroundings::hand_on(&mut command);
        let threads = &plans[index % plans.len()];
        let name = format!("{}-{index}", process_name());
        command.args(["device", "--job", &job_url, "--device", device, "--name", &name]);
        command.arg(format!("--model-threads={}", threads.model_threads));
        command.arg(format!("--decode-threads={}", threads.decode_threads));
        command.arg(format!("--memory={}", threads.memory));
        command
    };
    let devices = devices.iter().map(|plan| plan.device.clone()).collect();
    Ok(WorkerPool { devices, command, policy })
}

/// Host and process: enough to find the log of a shard's attempt.
pub fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
