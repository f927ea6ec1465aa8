//! Waiting times and numbers of retries of a dispatcher.

use std::time::Duration;

/// Bounds of waits and retries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// A worker process that holds work or is starting is killed as hung after this time without a message.
    pub silence: Duration,
    /// Longest time in which a shard on a device may finish after a stop request. Shards that are not begun,
    /// or would take longer, are returned at once.
    pub grace: Duration,
    /// Back-off before a shard's second attempt, doubled for every failure, with jitter, at most a minute.
    pub retry: Duration,
    /// Back-off before a dead worker process is replaced, doubled for every death in a row, with jitter, at
    /// most a minute.
    pub restart: Duration,
    /// Number of consecutive worker processes of one device that fail before they are ready, at which the run
    /// stops.
    pub failed_starts: u32,
    /// Number of kills (from outside, or of hung processes) without a commit in between, at which the run
    /// stops.
    pub kills: u32,
    /// Number of attempts per device that fail at the store without a commit in between, at which the run
    /// stops. A device holds two shards, so no shard has used up its attempts by then.
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
