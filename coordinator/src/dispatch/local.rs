//! Dispatch on one machine: an in-memory queue, without a server or a port.

pub use super::retry_policy::RetryPolicy;

use super::{
    DispatchError, Observation, Outcome, Report, Work,
    shard_source::NoMore,
    worker_pool::{self, WorkerPool},
};
use capfilt_store::Location;
use tokio::{process::Command, sync::watch};

/// Works until every shard is committed or quarantined, or until `stop` becomes true.
///
/// # Errors
/// An environment in which no shard can succeed; see [`DispatchError`]. No worker process outlives the call.
pub async fn run(
    bucket: &Location,
    work: Work,
    pool: WorkerPool<impl Fn(&str, usize) -> Command>,
    observe: impl FnMut(Observation<'_>),
    stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    if work.tasks.is_empty() {
        return Ok(Outcome::Finished(Report::default()));
    }
    worker_pool::run(bucket, work, pool, NoMore, observe, stop).await
}
