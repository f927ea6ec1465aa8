//! How long a dispatcher waits, and how often it tries again.

use std::time::Duration;

/// Bounds on waiting and on trying again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// A child that has work, or is starting, and says nothing for so long is taken for hung and killed.
    pub silence: Duration,
    /// How long a shard on a device may take to be finished when the run is to stop. What was not begun, or
    /// would take longer, is given back at once.
    pub grace: Duration,
    /// Back-off before a shard's second try; it doubles with every failure, with jitter, up to a minute.
    pub retry: Duration,
    /// Back-off before a dead child is replaced; it doubles with every death in a row, with jitter, up to a
    /// minute.
    pub restart: Duration,
    /// Children in a row of one device that die of their own before they are ready, at which the run stops.
    pub failed_starts: u32,
    /// Kills (from outside, or of hung children) without a commit in between, at which the run stops.
    pub kills: u32,
    /// For each device, attempts that fail for the store without a commit in between, at which the run stops.
    /// Each has two shards in hand, so that no shard has used up its tries by then.
    pub store_failures: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(600),
            grace: Duration::from_secs(10),
            retry: Duration::from_secs(1),
            restart: Duration::from_millis(500),
            failed_starts: 3,
            kills: 32,
            store_failures: 6,
        }
    }
}
