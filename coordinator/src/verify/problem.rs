//! Problems that `capfilt verify` reports.

use capfilt_schemas::{object_keys, plan::Shard};
use serde::Serialize;
use std::fmt;

/// One fault of a job, with advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Name of the object below the job's URL, or of an input file.
    pub object: String,
    /// Description of the problem.
    pub what: String,
    /// Remedy.
    pub next: String,
}

impl Problem {
    /// A problem of an object, with the next step.
    pub fn new(object: impl Into<String>, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { object: object.into(), what: what.into(), next: next.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}; {}", self.object, self.what, self.next)
    }
}

/// Advice for any fault of a shard's result.
pub(super) fn redo(shard: &Shard, n: u32) -> String {
    format!(
        "restore it from a copy, or delete {} and run the job again: the shard is then executed again",
        object_keys::commit(&shard.id, n)
    )
}
