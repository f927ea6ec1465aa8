//! `run --cluster` and `worker --cluster`: a job shared by many machines over NATS JetStream.

use crate::{args::ClusterArgs, progress::JobProgress};
use anyhow::Context as _;
use capfilt_console::{self as console, ExitCodeExt as _, Failure, shutdown};
use capfilt_coordinator::{
    dispatch::{
        Change, DispatchError, Observation, Outcome, Progress, Report, Work, WorkerState, WorkerView,
        cluster::{self, Connection, CoordinatedJob, JobQueue, QueueSource, Reporter},
        local::RetryPolicy,
        worker_pool,
    },
    is_done, job,
    metrics::SharedMetrics,
    preflight,
};
use capfilt_runtime::{
    devices::DevicePlan,
    release,
    worker_processes::{pool, process_name},
};
use capfilt_schemas::{
    job::JobRecord,
    object_keys,
    queue_protocol::{End, InHand, News, QueueNames, WorkerReport},
};
use capfilt_store::Location;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Interval of the checks whether the job exists.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Interval of the reports of a worker.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Connection to the NATS servers of the arguments; `None` without `--cluster`.
pub fn link(args: &ClusterArgs) -> Option<Connection> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let url = args.cluster.clone()?;
    let user = variable("NATS_USER").zip(variable("NATS_PASSWORD"));
    Some(Connection { url, credentials: args.creds.clone(), user, tls_ca: args.tls_ca.clone() })
}

/// Queue of the job in a bucket; `None` without `--cluster`.
pub async fn queue(args: &ClusterArgs, bucket: &Location) -> Result<Option<JobQueue>, Failure> {
    let Some(link) = link(args) else { return Ok(None) };
    let client = link.connect(|waiting| console::line(waiting)).await.or_environment_error()?;
    Ok(Some(JobQueue::new(client, queue_names(bucket).await?, link.shown()).of_job(&bucket.url)))
}

pub async fn queue_names(bucket: &Location) -> Result<QueueNames, Failure> {
    Ok(QueueNames::of(&bucket.read(object_keys::JOB).await.or_environment_error()?))
}

/// Coordinates a job until its workers have finished it.
pub async fn coordinate(
    job: CoordinatedJob<'_>,
    metrics: SharedMetrics,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    let mut progress = JobProgress::start(metrics);
    let queue = job.queue.clone();
    let outcome = cluster::coordinate(job, |seen| progress.show(seen), stop).await;
    progress.finish();
    if let Err(error @ (DispatchError::Systemic(_) | DispatchError::Broken { .. })) = &outcome {
        queue.say_end(&End::Stopped { why: error.to_string() }).await;
        queue.remove().await.or_environment_error()?;
    }
    outcome.or_environment_error()
}

/// Informs the workers that the job is done, and removes the queue unless `keep_queue` is set. Returns the
/// wasted rows that the workers' reports did not have. The job is sealed before, so a lost server is not an
/// error.
pub async fn end(queue: &JobQueue, workers: &[WorkerReport], keep_queue: bool) -> u64 {
    let wasted_rows = queue.end(workers).await;
    if keep_queue {
        return wasted_rows;
    }
    if let Err(error) = queue.remove().await {
        let stream = queue.names.stream();
        console::line(format!(
            "the job is done, but its queue could not be removed ({error}); remove the stream {stream}"
        ));
    }
    wasted_rows
}

/// Processes shards of a job until the job has ended.
pub async fn join(
    bucket: &Location,
    link: Connection,
    devices: &[DevicePlan],
    policy: RetryPolicy,
    metrics: SharedMetrics,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    let opening = async {
        let record = wait_for_job(bucket).await?;
        release::warn(&record);
        if is_done(bucket).await.or_environment_error()? {
            console::line("the job is done already");
            return Ok(None);
        }
        preflight::require(bucket).await.or_environment_error()?;
        let attempts = record.settings.limits.attempts;
        let names = queue_names(bucket).await?;
        let feed = QueueSource::open(link, names, bucket.clone(), attempts).await.or_environment_error()?;
        Ok::<_, Failure>(Some((attempts, feed)))
    };
    let (attempts, feed) = match shutdown::unless(&stop, opening).await.transpose()? {
        Some(Some(opened)) => opened,
        Some(None) => return Ok(Outcome::Finished(Report::default())),
        None => return Ok(Outcome::Interrupted(Report::default())),
    };
    let mut reports = Reports::new(feed.reporter(), devices);
    let work = Work { attempts, job: job::digest(bucket).await.or_environment_error()?, ..Work::default() };
    let mut progress = JobProgress::start(metrics);
    let trouble = feed.trouble();
    let observe = |seen: Observation<'_>| {
        reports.take_in(&seen);
        let is_share = true;
        let seen_here = Progress { is_share, trouble: trouble.borrow().clone(), ..seen.progress.clone() };
        progress.show(Observation { progress: &seen_here, ..seen });
    };
    let outcome =
        worker_pool::run(bucket, work, pool(&bucket.url, devices, policy)?, feed, observe, stop).await;
    progress.finish();
    outcome.or_environment_error()
}

/// Waits until the job's record exists.
async fn wait_for_job(bucket: &Location) -> Result<JobRecord, Failure> {
    let mut has_printed = false;
    loop {
        if let Some(record) =
            job::find(bucket).await.context("cannot read the job's record").or_environment_error()?
        {
            return Ok(record);
        }
        if !has_printed {
            console::line(format!("there is no job at {} yet; waiting for it", bucket.url));
            has_printed = true;
        }
        tokio::time::sleep(CHECK_EVERY).await;
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

/// Reports of this worker to the cluster.
struct Reports {
    reporter: Reporter,
    devices: Vec<String>,
    started: Instant,
    last: Option<Instant>,
}

impl Reports {
    fn new(reporter: Reporter, devices: &[DevicePlan]) -> Self {
        let devices = devices.iter().map(|plan| plan.device.clone()).collect();
        Self { reporter, devices, started: Instant::now(), last: None }
    }

    fn take_in(&mut self, seen: &Observation<'_>) {
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
                self.reporter.news(News::Left { worker: process_name(), why: why.clone() })
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
            worker: process_name(),
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
