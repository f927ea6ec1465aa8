//! Warnings about objects that are passed over, one for each object.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Objects that were named already: a job is looked at again and again.
static NAMED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Objects that are named; a folder full of strays needs no more. Memory: a URL each.
const MOST_NAMED: usize = 100;

/// Warns that an object is passed over, and why, unless this process has done so before.
pub(crate) fn name_once(object: &str, why: &str) {
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if named.len() < MOST_NAMED && named.insert(object.to_owned()) {
        tracing::warn!("{}: {why}; it is passed over", object.escape_debug());
    }
}
