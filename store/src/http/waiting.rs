//! Log lines about the object of a long wait.

use crate::cloud;
use object_store::client::HttpRequest;
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Wait after which a request is reported.
const REPORT_AFTER: Duration = Duration::from_secs(3);

/// Interval of log lines about one host, for all its requests together.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Time of the last log line about each host. Memory: a store has a handful of hosts.
static REPORTED: LazyLock<Mutex<HashMap<String, Instant>>> = LazyLock::new(Mutex::default);

/// A request, as described in log lines.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    host: String,
    what: String,
}

impl Waiting {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let uri = request.uri();
        let host = uri.authority().map_or_else(String::new, |authority| authority.as_str().to_owned());
        let what = match cloud::gives_credentials(&uri.to_string()) {
            true => format!("{host} for credentials"),
            // Without the query, which may contain a signature.
            false => format!("{host}: {} {}", request.method(), uri.path()),
        };
        Self { host, what }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Logs the object of the wait if the wait is long and no line was logged recently.
    pub(super) fn say(&self, quiet: Duration) {
        if quiet < REPORT_AFTER {
            return;
        }
        let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.get(&self.host).is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            reported.insert(self.host.clone(), Instant::now());
            tracing::warn!("waiting for {}: no answer for {:.0} s", self.what, quiet.as_secs_f64());
        }
    }
}
