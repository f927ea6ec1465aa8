//! Error of a request that was given up.

use std::time::Duration;

/// A request that made no progress for too long.
#[derive(Debug, thiserror::Error)]
#[error(
    "no progress for {:.0} s{}",
    .after.as_secs_f64(), if *.was_sending { " while it was being sent" } else { "" }
)]
pub(super) struct Stalled {
    pub after: Duration,
    pub was_sending: bool,
}
