//! A job, or a part of its plan, on this machine alone.

use crate::{devices::DevicePlan, endpoint, job_progress::JobProgress, release, worker_processes};
use capfilt_console::{ExitCodeExt as _, Failure, shutdown};
use capfilt_coordinator::{
    JobState,
    dispatch::{
        Orders, Outcome, Report, Work,
        local::{self, RetryPolicy},
    },
    job,
    metrics::SharedMetrics,
    plan::Part,
    preflight,
};
use capfilt_schemas::{job::JobRecord, plan::Shard};
use capfilt_store::Location;
use tokio::sync::watch;

/// Processes the open shards of a part of an existing job.
///
/// # Errors
/// A job that cannot be read, a store that cannot hold a job, and the errors of [`local::run`].
pub async fn process_part(
    bucket: &Location,
    part: Part,
    devices: &[DevicePlan],
    policy: RetryPolicy,
    metrics: SharedMetrics,
    stop: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    let opening = async {
        let opened = job::load(bucket).await.or_environment_error()?;
        preflight::require(bucket).await.or_environment_error()?;
        Ok::<_, Failure>(opened)
    };
    let Some((record, plan)) = shutdown::unless(&stop, opening).await.transpose()? else {
        return Ok(Outcome::Interrupted(Report::default()));
    };
    release::warn(&record);
    process(bucket, &record, &part.of(&plan), devices, policy, metrics, stop).await
}

/// Processes the open shards of a plan, or of a part of a plan, with one worker process per device.
///
/// # Errors
/// As [`local::run`].
pub async fn process(
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
    let mut work = Work::remaining(plan, &job_state, record.settings.limits.attempts);
    // `work` has the open shards. The set of all commits is dropped to save memory.
    drop(job_state);
    if !work.tasks.is_empty() {
        let checked = shutdown::unless(&stop, endpoint::check(&record.settings)).await.transpose()?;
        let Some(_) = checked else { return Ok(Outcome::Interrupted(Report::default())) };
        let orders =
            shutdown::unless(&stop, Orders::follow(bucket)).await.transpose().or_environment_error()?;
        let Some(orders) = orders else { return Ok(Outcome::Interrupted(Report::default())) };
        work.orders = orders;
    }
    let pool = worker_processes::pool(&bucket.url, devices, policy)?;
    let mut progress = JobProgress::start(metrics);
    let outcome = local::run(bucket, work, pool, |seen| progress.show(seen), stop).await;
    progress.finish();
    outcome.or_environment_error()
}
