//! Effects of an event on a shard.

use capfilt_schemas::{failure::Crash, object_keys::AttemptId, plan::ShardId};

/// Effect of an event on a shard; some require an action of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// No action is required.
    Noted,
    /// The shard has its result.
    Committed,
    /// `release` the shard after a back-off that grows with `failures`.
    Retry {
        /// Failed attempts of the shard so far.
        failures: u32,
    },
    /// The shard has used up its attempts.
    Quarantined,
    /// The commit that was counted as another process's is this attempt's.
    Won,
    /// Another attempt had committed the shard before.
    Lost,
    /// Stop the run.
    Stop,
}

/// A shard that is blamed for the end of a worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    /// The shard.
    pub shard: ShardId,
    /// The attempt that ended.
    pub attempt: AttemptId,
    /// Consequence for the shard.
    pub effect: Effect,
    /// Rows that the attempt had in process.
    pub crash: Option<Crash>,
}
