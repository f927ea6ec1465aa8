//! A job shared by many machines over NATS JetStream.

use crate::{
    devices::DevicePlan,
    endpoint,
    job_progress::JobProgress,
    worker_processes::{pool, process_name},
};
use capfilt_console::{self as console, ExitCodeExt as _, Failure, shutdown};
use capfilt_coordinator::{
    dispatch::{
        Outcome, Report,
        cluster::{
            self, Connection, CoordinatedJob, JobQueue, JobStream, JobStreams, JoinedPool, queue_names,
        },
        local::RetryPolicy,
    },
    job,
    metrics::SharedMetrics,
};
use capfilt_schemas::queue_protocol::WorkerReport;
use capfilt_store::Location;
use tokio::sync::watch;

/// Queue of the job in a bucket.
///
/// # Errors
/// A server that refuses the connection, and a job record that cannot be read.
pub async fn queue(link: &Connection, bucket: &Location) -> Result<JobQueue, Failure> {
    let client = link.connect(|waiting| console::line(waiting)).await.or_environment_error()?;
    let names = queue_names(bucket).await.or_environment_error()?;
    Ok(JobQueue::new(client, names, link.shown()).of_job(&bucket.url))
}

/// Lists the unused queues of a server: those of all jobs, or that of the job in `own`. With `delete` the
/// queues are removed.
///
/// # Errors
/// When the server, or the job's bucket, fails.
pub async fn unused_queues(
    link: &Connection,
    own: Option<&Location>,
    delete: bool,
) -> Result<Vec<JobStream>, Failure> {
    let mut streams =
        JobStreams::look(link, |waiting| console::line(waiting)).await.or_environment_error()?;
    if let Some(bucket) = own {
        let own = queue_names(bucket).await.or_environment_error()?.stream();
        streams.found.retain(|stream| stream.stream == own);
    }
    let in_use = streams.found.extract_if(.., |stream| stream.in_use);
    in_use.for_each(|stream| console::line(format!("{stream} is in use")));
    if delete {
        streams.remove_unused().await.or_environment_error()?;
    }
    Ok(streams.found)
}

/// Coordinates a job until its workers have finished it.
///
/// # Errors
/// As [`cluster::coordinate`].
pub async fn coordinate(
    job: CoordinatedJob<'_>,
    metrics: SharedMetrics,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    let mut progress = JobProgress::start(metrics);
    let queue = job.queue.clone();
    let outcome = cluster::coordinate(job, |seen| progress.show(seen), stop).await;
    progress.finish();
    if let Err(error) = &outcome {
        queue.end_after(error).await.or_environment_error()?;
    }
    outcome.or_environment_error()
}

/// Informs the workers that the job is done, and removes the queue unless `keep_queue` is set. Returns the
/// wasted rows that the workers' reports did not have. The job is sealed before, so a lost server is not an
/// error.
pub async fn end(queue: &JobQueue, workers: &[WorkerReport], keep_queue: bool) -> u64 {
    let wasted_rows = queue.end(workers).await;
    if !keep_queue && let Err(error) = queue.remove().await {
        let stream = queue.names.stream();
        console::line(format!(
            "the job is done, but its queue could not be removed ({error}); remove the stream {stream}"
        ));
    }
    wasted_rows
}

/// Processes shards of a job until the job has ended.
///
/// # Errors
/// A job that cannot be joined, and the errors of a worker pool.
pub async fn join(
    bucket: &Location,
    link: Connection,
    devices: &[DevicePlan],
    policy: RetryPolicy,
    metrics: SharedMetrics,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    let joining = JoinedPool::join(bucket, link, console::line);
    let joined = match shutdown::unless(&stop, joining).await.transpose().or_environment_error()? {
        Some(Some(joined)) => joined,
        Some(None) => return Ok(Outcome::Finished(Report::default())),
        None => return Ok(Outcome::Interrupted(Report::default())),
    };
    if let Some(record) = job::find(bucket).await.or_environment_error()? {
        endpoint::check(&record.settings).await?;
    }
    let pool = pool(&bucket.url, devices, policy)?;
    let mut progress = JobProgress::start(metrics);
    let outcome = joined.run(process_name(), pool, |seen| progress.show(seen), stop).await;
    progress.finish();
    outcome.or_environment_error()
}
