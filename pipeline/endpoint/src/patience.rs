//! Repetition of one request: how often, and after which wait.
//!
//! | the endpoint | next |
//! |---|---|
//! | is not reached, or answers 408, 425, 429, 502 to 504, 529 | repeat until [`EndpointOptions::outage`] |
//! | fails at the request (5xx, garbage, no caption, too slow) | repeat, [`TRIES`] attempts in all |
//! | refuses the image, or every request | end |
//!
//! The wait doubles from [`EndpointOptions::first_pause`] to a minute, with jitter, or is the endpoint's
//! `Retry-After` if that is longer.

use crate::{error::RequestError, options::EndpointOptions};
use std::time::Duration;
use tokio::time::Instant;

/// Attempts at a request at which the endpoint fails.
pub(crate) const TRIES: u32 = 4;

/// Longest wait between two attempts, unless `Retry-After` is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Next step after a failed request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Repeat the request after a wait.
    Repeat(Duration),
    /// The caption has no text, for this reason.
    NoCaption(String),
    /// The endpoint is unavailable for too long, in seconds.
    GiveUp(u64, String),
    /// No request can succeed.
    Rejected(String),
}

/// Failures of one request so far.
#[derive(Debug)]
pub(crate) struct Patience {
    first_pause: Duration,
    outage: Duration,
    /// A number of the request that spreads the waits of requests which failed together.
    jitter: u64,
    failed: u32,
    unavailable: u32,
    unavailable_since: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(options: &EndpointOptions, jitter: u64) -> Self {
        let EndpointOptions { first_pause, outage, .. } = *options;
        Self { first_pause, outage, jitter, failed: 0, unavailable: 0, unavailable_since: None }
    }

    /// Decides what follows an error.
    pub(crate) fn next(&mut self, error: RequestError) -> Next {
        match error {
            RequestError::Refused(why) => Next::NoCaption(why),
            RequestError::Rejected(why) => Next::Rejected(why),
            RequestError::Failed(why) => {
                self.unavailable_since = None;
                self.failed += 1;
                let tries = self.failed;
                if tries < TRIES { Next::Repeat(self.pause(tries)) } else { Next::NoCaption(why) }
            }
            RequestError::Unavailable { why, retry_after } => {
                let since = *self.unavailable_since.get_or_insert_with(Instant::now);
                let waited = since.elapsed();
                self.unavailable += 1;
                if waited >= self.outage {
                    return Next::GiveUp(waited.as_secs(), why);
                }
                let pause = self.pause(self.unavailable).max(retry_after.unwrap_or_default());
                Next::Repeat(pause.min(self.outage - waited))
            }
        }
    }

    /// Wait before an attempt: doubled for each failure, and up to a half longer.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_PAUSE);
        let share = (self.jitter.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
        doubled + doubled.mul_f64(f64::from(share) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(outage_seconds: u64) -> Patience {
        Patience {
            first_pause: Duration::from_secs(1),
            outage: Duration::from_secs(outage_seconds),
            jitter: 0,
            failed: 0,
            unavailable: 0,
            unavailable_since: None,
        }
    }

    fn unavailable(retry_after: Option<u64>) -> RequestError {
        let retry_after = retry_after.map(Duration::from_secs);
        RequestError::Unavailable { why: "503".to_owned(), retry_after }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_is_unavailable_is_waited_for_up_to_the_limit() {
        let mut patience = patience(100);
        let mut pauses = Vec::new();
        let end = loop {
            match patience.next(unavailable(None)) {
                Next::Repeat(pause) => {
                    pauses.push(pause.as_secs());
                    tokio::time::sleep(pause).await;
                }
                other => break other,
            }
        };
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 37]);
        assert_eq!(end, Next::GiveUp(100, "503".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_the_endpoint_requests_is_kept_within_the_limit() {
        let mut patience = patience(100);
        assert_eq!(patience.next(unavailable(Some(30))), Next::Repeat(Duration::from_secs(30)));
        assert_eq!(patience.next(unavailable(Some(7200))), Next::Repeat(Duration::from_secs(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_fails_is_tried_four_times() {
        let mut patience = patience(100);
        let failed = || RequestError::Failed("500".to_owned());
        for seconds in [1, 2, 4] {
            assert_eq!(patience.next(failed()), Next::Repeat(Duration::from_secs(seconds)));
        }
        assert_eq!(patience.next(failed()), Next::NoCaption("500".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_image_is_not_sent_again() {
        let refused = RequestError::Refused("400".to_owned());
        assert_eq!(patience(100).next(refused), Next::NoCaption("400".to_owned()));
        let rejected = RequestError::Rejected("401".to_owned());
        assert_eq!(patience(100).next(rejected), Next::Rejected("401".to_owned()));
    }

    #[test]
    fn requests_that_failed_together_do_not_return_together() {
        let pause = |jitter| Patience { jitter, ..patience(100) }.pause(1);
        let pauses: Vec<Duration> = (0..50).map(pause).collect();
        let (least, most) = (pauses.iter().min(), pauses.iter().max());
        assert!(least >= Some(&Duration::from_secs(1)) && most <= Some(&Duration::from_millis(1500)));
        assert!(most > Some(&Duration::from_millis(1400)), "{most:?}");
    }
}
