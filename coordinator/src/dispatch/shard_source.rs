//! The seam between the children of one machine and the place their shards come from.

use super::DispatchError;
use crate::Task;
use capfilt_schemas::plan::ShardId;
use std::time::Duration;

/// What a feed has to say.
#[derive(Debug)]
pub enum Sourced {
    Task(Box<Task>),
    /// No shard will follow; those that were fed are still to be done.
    End,
    /// The whole job is settled: what this machine still has in hand is another's already.
    Settled,
}

/// Where a machine's shards come from, and who is told what became of them.
pub trait ShardSource {
    /// The next shard to do, if one is wanted, or the end. Waits while there is neither.
    /// Dropping the future before it is ready loses nothing.
    ///
    /// # Errors
    /// When going on makes no sense.
    fn next(&mut self, is_wanted: bool) -> impl Future<Output = Result<Sourced, DispatchError>>;

    /// The shard is committed or quarantined; nobody need see it again.
    fn done(&mut self, shard: &ShardId);

    /// Whether a shard that failed is tried again on this machine; else it is given back.
    fn keeps_failed(&self) -> bool;

    /// Somebody should take the shard after this time.
    fn give_back(&mut self, shard: &ShardId, after: Duration);

    /// Takes no further shard; one that is on its way goes back.
    fn refuse(&mut self);

    /// Ends the feed; what was said to it has arrived when this returns.
    fn close(self) -> impl Future<Output = ()>;
}

/// The feed of one machine alone: its queue was full from the beginning.
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
