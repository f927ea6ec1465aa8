//! The dispatcher of one machine: a queue in memory, nothing to install and no port.

pub use super::policy::Policy;

use super::{
    DispatchError, Observation, Outcome, Report, Work,
    crew::{self, Crew},
    feed::Nothing,
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
    crew: Crew<impl Fn(&str, usize) -> Command>,
    observe: impl FnMut(Observation<'_>),
    stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    if work.tasks.is_empty() {
        return Ok(Outcome::Finished(Report::default()));
    }
    crew::run(bucket, work, crew, Nothing, observe, stop).await
}
