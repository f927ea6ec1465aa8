//! Interface between the worker pool of one machine and the source of its shards.

use super::DispatchError;
use crate::Task;
use capfilt_schemas::plan::ShardId;
use std::time::Duration;

/// Answer of a source.
#[derive(Debug)]
pub enum Sourced {
    /// A further shard.
    Task(Box<Task>),
    /// No shard will follow; the shards received so far remain to be done.
    End,
    /// Every shard of the job is settled: other processes have committed the shards that this machine holds.
    Settled,
}

/// Source of a machine's shards; it also receives their outcomes.
pub trait ShardSource {
    /// Returns the next shard if one is wanted, or the end. Waits while there is neither. Dropping the future
    /// before it is ready loses nothing.
    ///
    /// # Errors
    /// A broken environment in which no shard can succeed.
    fn next(&mut self, is_wanted: bool) -> impl Future<Output = Result<Sourced, DispatchError>>;

    /// Reports that the shard is committed or quarantined; no machine needs it again.
    fn done(&mut self, shard: &ShardId);

    /// Whether this machine retries a failed shard; otherwise the shard is returned.
    fn keeps_failed(&self) -> bool;

    /// Returns the shard: another machine should take it after this time.
    fn give_back(&mut self, shard: &ShardId, after: Duration);

    /// Takes no further shard; a shard that arrives later is returned.
    fn refuse(&mut self);

    /// Ends the source. All reports have arrived when the future is ready.
    fn close(self) -> impl Future<Output = ()>;
}

/// The source of a single machine: its queue holds all shards from the start.
#[derive(Debug, Default)]
pub struct NoMore;

impl ShardSource for NoMore {
    async fn next(&mut self, _: bool) -> Result<Sourced, DispatchError> {
        Ok(Sourced::End)
    }

    fn done(&mut self, _: &ShardId) {}

    fn keeps_failed(&self) -> bool {
        true
    }

    fn give_back(&mut self, _: &ShardId, _: Duration) {}

    fn refuse(&mut self) {}

    async fn close(self) {}
}
