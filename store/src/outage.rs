//! Waits for stores that become unavailable.
//!
//! A store that has never answered is more likely misspelt than unavailable, so requests to it end within
//! seconds. A store that has answered is waited for, up to a limit, and a log line every few seconds reports
//! the wait.

use crate::FaultKind;
use capfilt_schemas::settings::OUTAGE_SECONDS;
use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Attempts at a request whose answer breaks off, or that fails while the store answers other requests.
pub(crate) const TRIES: u32 = 5;

/// Wait before the second attempt; it doubles for every further attempt, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Longest time in which a request may fail while the store answers other requests: the store is then not
/// unavailable.
const ALONE: Duration = Duration::from_secs(60);

/// Interval of log lines about one store, for all its waiting requests together.
const REPORT_EVERY: Duration = Duration::from_secs(5);

static LIMIT_SECONDS: AtomicU64 = AtomicU64::new(OUTAGE_SECONDS);

static EXPECTED: AtomicBool = AtomicBool::new(false);

/// The stores of this process, by scheme and bucket. Memory: a job has a handful.
static STORES: LazyLock<Mutex<HashMap<String, Arc<Health>>>> = LazyLock::new(Mutex::default);

/// Sets the time for which outages are waited out, in seconds; 0 means no wait.
pub fn wait_out_outages(seconds: u64) {
    LIMIT_SECONDS.store(seconds, Ordering::Relaxed);
}

/// Treats every store as one that has answered before: the parent process has reached all of them.
pub fn expect_stores() {
    EXPECTED.store(true, Ordering::Relaxed);
}

/// Time for which outages are waited out, in seconds.
pub fn outage_seconds() -> u64 {
    LIMIT_SECONDS.load(Ordering::Relaxed)
}

/// Times of a store's last answer and of the last log line about it.
#[derive(Debug)]
pub(crate) struct Health {
    store: String,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    answered: Option<Instant>,
    reported: Option<Instant>,
}

impl Health {
    /// Health of the store with this scheme and bucket.
    pub(crate) fn of(store: &str) -> Arc<Self> {
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Self { store: store.to_owned(), times: Mutex::default() });
        Arc::clone(stores.entry(store.to_owned()).or_insert_with(new))
    }

    /// Notes the result of a request; every result that is not an outage is an answer.
    pub(crate) fn note<T>(&self, called: &Result<T, Error>) {
        if called.as_ref().err().is_none_or(|error| FaultKind::of(error).is_answer() && !broke_off(error)) {
            self.times().answered = Some(Instant::now());
        }
    }

    fn has_answered(&self) -> bool {
        EXPECTED.load(Ordering::Relaxed) || self.times().answered.is_some()
    }

    fn answered_since(&self, since: Instant) -> bool {
        self.times().answered.is_some_and(|answered| answered > since)
    }

    fn say(&self, error: &Error, waited: Duration, limit: Duration) {
        let mut times = self.times();
        if waited < Duration::from_secs(1) || times.reported.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return;
        }
        times.reported = Some(Instant::now());
        drop(times);
        let why = crate::fault::last_cause(error);
        let (waited, limit) = (waited.as_secs(), limit.as_secs());
        tracing::warn!(
            "{} is unavailable for {waited} s ({why}); waiting, for {limit} s at most",
            self.store
        );
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time for which one request has been failing.
#[derive(Debug)]
pub(crate) struct Patience {
    health: Arc<Health>,
    failed: u32,
    since: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(health: &Arc<Health>) -> Self {
        Self { health: Arc::clone(health), failed: 0, since: None }
    }

    /// Whether the request should be repeated after this error. If so, the wait before the repetition has
    /// passed.
    pub(crate) async fn goes_on(&mut self, error: &Error) -> bool {
        let broke_off = broke_off(error);
        let kind = FaultKind::of(error);
        // A store that has answered accepted credentials: their source will provide them again.
        let is_outage = kind.is_outage() || kind == FaultKind::NoCredentials && self.health.has_answered();
        if !broke_off && !is_outage {
            return false;
        }
        self.failed += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        let (waited, limit) = (since.elapsed(), Duration::from_secs(outage_seconds()));
        let is_left = match self.health.has_answered() {
            false => broke_off && self.failed < TRIES,
            true if self.health.answered_since(since) => self.failed < TRIES || waited < ALONE.min(limit),
            true => self.failed < TRIES && broke_off || waited < limit,
        };
        if is_left {
            self.health.say(error, waited, limit);
            tokio::time::sleep(LONGEST_PAUSE.min(PAUSE * (1 << (self.failed - 1).min(10)))).await;
        }
        is_left
    }
}

/// Whether the connection failed while the answer was arriving.
pub(crate) fn broke_off(error: &Error) -> bool {
    let http = crate::fault::causes(error).find_map(|cause| cause.downcast_ref::<HttpError>());
    // The client has already repeated requests to an unreachable or silent store.
    http.is_some_and(|error| !matches!(error.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout))
        && !matches!(FaultKind::of(error), FaultKind::NoCredentials | FaultKind::NoTokens)
}
