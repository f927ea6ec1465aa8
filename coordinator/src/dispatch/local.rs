//! The dispatcher of one machine: a queue in memory, nothing to install and no port.

pub use super::retry_policy::RetryPolicy;

use super::{
    DispatchError, Observation, Outcome, Report, Work,
    shard_source::NoMore,
    worker_pool::{self, WorkerPool},
};
use capfilt_bucket::Bucket;
use tokio::{process::Command, sync::watch};

/// Works until every shard is committed or quarantined, or until `stop` becomes true.
///
/// # Errors
/// When going on makes no sense; see [`DispatchError`]. No child outlives the call, whatever its result.
pub async fn run(
    bucket: &Bucket,
    work: Work,
    crew: WorkerPool<impl Fn(&str, usize) -> Command>,
    observe: impl FnMut(Observation<'_>),
    stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    if work.tasks.is_empty() {
        return Ok(Outcome::Finished(Report::default()));
    }
    worker_pool::run(bucket, work, crew, NoMore, observe, stop).await
}
