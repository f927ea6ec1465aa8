//! A server on loopback that speaks the endpoints of the Hugging Face Hub that reads need.
//!
//! Repositories have commits and branches, and every commit stays readable. Large files (LFS) are redirected
//! to a second server, as the Hub redirects to its cache, with an address that can end; small files are
//! redirected within the server. Listings have pages of three entries, folders first.

mod http;
mod routes;

use http::{Listener, Request, Response};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// Name, by path, of the files of one commit.
pub type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// Endings of large files.
const LARGE: [&str; 5] = [".parquet", ".safetensors", ".bin", ".tar", ".jpg"];

/// A refusal of every request to the Hub.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The Hub's error code.
    pub code: &'static str,
    /// The Hub's message.
    pub message: &'static str,
}

/// A running Hub; it ends when it is dropped.
#[derive(Debug)]
pub struct Hub {
    state: Arc<State>,
    hub: Listener,
    cache: Listener,
}

/// Repositories, faults and the log.
#[derive(Debug, Default)]
pub(crate) struct State {
    repositories: Mutex<BTreeMap<String, Repository>>,
    /// Without this token, requests are refused like those for a missing repository.
    token: Mutex<Option<String>>,
    refusal: Mutex<Option<Refusal>>,
    busy: AtomicU32,
    /// Number of the signature that the second server accepts.
    signature: AtomicU32,
    hides_etags: AtomicBool,
    ignores_ranges: AtomicBool,
    redirects_in_a_circle: AtomicBool,
    cache_url: Mutex<String>,
    hub_url: Mutex<String>,
    requests: Mutex<Vec<String>>,
    cache_requests: Mutex<Vec<String>>,
    leaked: AtomicBool,
}

/// One repository: `datasets/owner/name` or `models/owner/name`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repository {
    /// Files that the next commit has.
    tree: Files,
    commits: BTreeMap<String, Files>,
    revisions: BTreeMap<String, String>,
}

impl Default for Hub {
    fn default() -> Self {
        Self::start()
    }
}

impl Hub {
    /// Starts both servers.
    ///
    /// # Panics
    /// Without a free port.
    pub fn start() -> Self {
        let state = Arc::<State>::default();
        let (of_hub, of_cache) = (Arc::clone(&state), Arc::clone(&state));
        let hub = Listener::start(move |request: &Request| routes::hub(&of_hub, request));
        let cache = Listener::start(move |request: &Request| routes::cache(&of_cache, request));
        *lock(&state.hub_url) = hub.url.clone();
        *lock(&state.cache_url) = cache.url.clone();
        Self { state, hub, cache }
    }

    /// Value of `HF_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.hub.url
    }

    /// Address of the second server.
    pub fn cache(&self) -> &str {
        &self.cache.url
    }

    /// Adds a file to the next commit of `datasets/owner/name` or `models/owner/name`.
    pub fn put(&self, repository: &str, path: &str, bytes: Vec<u8>) {
        let mut repositories = lock(&self.state.repositories);
        let repository = repositories.entry(repository.to_owned()).or_default();
        repository.tree.insert(path.to_owned(), Arc::new(bytes));
    }

    /// Removes a file from the next commit.
    pub fn remove(&self, repository: &str, path: &str) {
        let mut repositories = lock(&self.state.repositories);
        repositories.entry(repository.to_owned()).or_default().tree.remove(path);
    }

    /// Makes a commit, to which `revision` points from now on, and returns it.
    pub fn commit(&self, repository: &str, revision: &str) -> String {
        let mut repositories = lock(&self.state.repositories);
        let count = repositories.get(repository).map_or(0, |repository| repository.commits.len());
        let commit = digest(format!("{repository} {count}").as_bytes())[..40].to_owned();
        let repository = repositories.entry(repository.to_owned()).or_default();
        repository.commits.insert(commit.clone(), repository.tree.clone());
        repository.revisions.insert(revision.to_owned(), commit.clone());
        commit
    }

    /// Requires a token from now on.
    pub fn require_token(&self, token: &str) {
        *lock(&self.state.token) = Some(token.to_owned());
    }

    /// Refuses every request from now on; `None` ends it.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        *lock(&self.state.refusal) = refusal;
    }

    /// Answers the next requests with 429 and `Retry-After: 1`.
    pub fn be_busy(&self, requests: u32) {
        self.state.busy.store(requests, Ordering::Relaxed);
    }

    /// Ends all addresses of the second server that were given out.
    pub fn end_addresses(&self) {
        self.state.signature.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers reads without any digest from now on.
    pub fn hide_etags(&self) {
        self.state.hides_etags.store(true, Ordering::Relaxed);
    }

    /// Answers reads of a range with the whole file from now on.
    pub fn ignore_ranges(&self) {
        self.state.ignores_ranges.store(true, Ordering::Relaxed);
    }

    /// Redirects every read to its own address from now on.
    pub fn redirect_in_a_circle(&self) {
        self.state.redirects_in_a_circle.store(true, Ordering::Relaxed);
    }

    /// Requests to the Hub so far that contain this text: `GET /api/…`.
    pub fn requests(&self, about: &str) -> usize {
        lock(&self.state.requests).iter().filter(|request| request.contains(about)).count()
    }

    /// Requests to the second server so far.
    pub fn cache_requests(&self) -> usize {
        lock(&self.state.cache_requests).len()
    }

    /// Whether the second server has received an `Authorization` header.
    pub fn has_leaked_the_token(&self) -> bool {
        self.state.leaked.load(Ordering::Relaxed)
    }
}

impl State {
    fn repository(&self, name: &str) -> Option<Repository> {
        lock(&self.repositories).get(name).cloned()
    }
}

impl Repository {
    /// The commit that a revision names, and its files.
    fn at(&self, revision: &str) -> Option<(&str, &Files)> {
        let commit = self.revisions.get(revision).map_or(revision, String::as_str);
        self.commits.get_key_value(commit).map(|(commit, files)| (commit.as_str(), files))
    }
}

fn is_large(path: &str) -> bool {
    LARGE.iter().any(|ending| path.ends_with(ending))
}

/// SHA-256 in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handler of the requests of one server.
pub(crate) trait Handler: Fn(&Request) -> Response + Send + Sync + 'static {}

impl<T: Fn(&Request) -> Response + Send + Sync + 'static> Handler for T {}
