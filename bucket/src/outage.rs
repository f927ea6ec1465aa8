//! Outages: how long a store that was there is waited for when it is not.
//!
//! A store that has never answered is more likely misspelled than out of order, so it is given up within
//! seconds. One that has answered is waited for, up to a limit, and so that people know: a line every few
//! seconds says for what.

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
    time::{Duration, Instant},
};

/// Times a call is made whose answer breaks off, or that fails while the store answers others.
pub(crate) const TRIES: u32 = 5;

/// Time before the second try; it doubles with every other, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls that fail while others are answered are given up after so long: it is not the store that is out of
/// order.
const ALONE: Duration = Duration::from_secs(60);

/// Time between two lines about one store, however many calls wait for it.
const SAY_EVERY: Duration = Duration::from_secs(5);

static LIMIT_SECONDS: AtomicU64 = AtomicU64::new(OUTAGE_SECONDS);

static EXPECTED: AtomicBool = AtomicBool::new(false);

/// The stores this process speaks to, by the beginning of their URLs. Memory: a job has a handful.
static STORES: LazyLock<Mutex<HashMap<String, Arc<Health>>>> = LazyLock::new(Mutex::default);

/// From now on outages are waited out for so long; 0 waits for none.
pub fn wait_out_outages(seconds: u64) {
    LIMIT_SECONDS.store(seconds, Ordering::Relaxed);
}

/// Treats every store as one that has answered before: the parent process has reached all of them.
pub fn expect_stores() {
    EXPECTED.store(true, Ordering::Relaxed);
}

/// How long outages are waited out, in seconds.
pub fn outage_seconds() -> u64 {
    LIMIT_SECONDS.load(Ordering::Relaxed)
}

/// When a store last answered and was last waited for, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Health {
    store: String,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    answered: Option<Instant>,
    told: Option<Instant>,
}

impl Health {
    /// Of the store at the beginning of a URL: scheme and bucket.
    pub(crate) fn of(store: &str) -> Arc<Self> {
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Self { store: store.to_owned(), times: Mutex::default() });
        Arc::clone(stores.entry(store.to_owned()).or_insert_with(new))
    }

    /// Notes what a call came to; what is no outage is an answer.
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
        if waited < Duration::from_secs(1) || times.told.is_some_and(|told| told.elapsed() < SAY_EVERY) {
            return;
        }
        times.told = Some(Instant::now());
        drop(times);
        let why = crate::fault::last_cause(error);
        let (waited, limit) = (waited.as_secs(), limit.as_secs());
        tracing::warn!(
            "{} is out of order for {waited} s ({why}); waiting, for {limit} s at most",
            self.store
        );
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long one call has been failing.
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

    /// Whether the call is worth another try after this error; if so, the time before it has passed.
    pub(crate) async fn goes_on(&mut self, error: &Error) -> bool {
        let broke_off = broke_off(error);
        let kind = FaultKind::of(error);
        // A store that has answered did so to credentials: who gave them out will do so again.
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

/// Whether the connection failed with the answer on its way.
pub(crate) fn broke_off(error: &Error) -> bool {
    let http = crate::fault::causes(error).find_map(|cause| cause.downcast_ref::<HttpError>());
    // A store that cannot be reached, or is waited for in vain, the client has tried often enough.
    http.is_some_and(|error| !matches!(error.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout))
        && !matches!(FaultKind::of(error), FaultKind::NoCredentials | FaultKind::NoTokens)
}
