//! Warnings about skipped objects, one per object.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Objects that a warning has named: a job's folders are listed repeatedly.
static NAMED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Most objects that are named. Memory: one URL each.
const MOST_NAMED: usize = 100;

/// Warns that an object is skipped, and why, unless this process has warned before.
pub(crate) fn name_once(object: &str, why: &str) {
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if named.len() < MOST_NAMED && named.insert(object.to_owned()) {
        tracing::warn!("{}: {why}; it is skipped", object.escape_debug());
    }
}
