//! What a request waits for, said when it takes long.

use crate::cloud;
use object_store::client::HttpRequest;
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A request that has waited so long says so.
const SAY_AFTER: Duration = Duration::from_secs(3);

/// Time between two sayings about one host, whichever requests wait.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// When each host was last waited for aloud. Memory: a store has a handful of hosts.
static SAID: LazyLock<Mutex<HashMap<String, Instant>>> = LazyLock::new(Mutex::default);

/// A request, as far as people want to know.
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
            // Without the query, which may hold a signature.
            false => format!("{host}: {} {}", request.method(), uri.path()),
        };
        Self { host, what }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Says what is waited for, once it takes long and if it was not said just now.
    pub(super) fn say(&self, quiet: Duration) {
        if quiet < SAY_AFTER {
            return;
        }
        let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(&self.host).is_none_or(|last| last.elapsed() >= SAY_EVERY) {
            said.insert(self.host.clone(), Instant::now());
            tracing::warn!("waiting for {}: no answer for {:.0} s", self.what, quiet.as_secs_f64());
        }
    }
}
