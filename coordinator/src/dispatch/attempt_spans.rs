//! One tracing span per attempt that a worker process holds: the log lines of the attempt are inside the
//! span.
//!
//! The worker process writes its log lines about the attempt in a span with the same name and fields, so that
//! a search by any field finds the lines of all processes.

use capfilt_schemas::{
    failure::Failure,
    object_keys::AttemptId,
    worker_protocol::{Assignment, Event},
};
use std::collections::HashMap;
use tracing::Span;

/// Spans of all held attempts, with the number of the worker process.
#[derive(Debug, Default)]
pub(super) struct AttemptSpans(HashMap<AttemptId, (usize, Span)>);

impl AttemptSpans {
    pub fn begin(&mut self, assignment: &Assignment, index: usize, worker: &str, device: &str) {
        let (shard, attempt) = (&assignment.shard.id, &assignment.attempt);
        // Level error: a span below the log's level would be missing around error lines too.
        let span = tracing::error_span!("attempt", %shard, %attempt, worker, device);
        span.in_scope(|| tracing::info!(rows = assignment.shard.rows, "handed out"));
        self.0.insert(attempt.clone(), (index, span));
    }

    /// Logs a commit. The caller of [`AttemptSpans::end`] logs a failure, because only the caller knows what
    /// follows.
    pub fn hear(&mut self, event: &Event) {
        if let Event::Committed { attempt, rows, superseded, cost, .. } = event {
            let _in_span = self.end(attempt).entered();
            let (batch, seconds) = (cost.batch, cost.timings.total_seconds);
            if *superseded {
                tracing::info!(rows, "another attempt committed first; the rows of this attempt are wasted");
            } else {
                tracing::info!(rows, batch, seconds, "committed");
            }
        }
    }

    /// Removes and returns the span of an attempt that has ended.
    pub fn end(&mut self, attempt: &AttemptId) -> Span {
        self.0.remove(attempt).map_or_else(Span::none, |(_, span)| span)
    }

    /// Drops the attempts of a dead worker process.
    pub fn end_all_of(&mut self, index: usize) {
        self.0.retain(|_, (worker, span)| {
            let stays = *worker != index;
            if !stays {
                span.in_scope(|| tracing::warn!("its worker process is gone; the shard is returned"));
            }
            stays
        });
    }
}

/// Span of a failure that another machine reported.
pub(super) fn span_of(failure: &Failure) -> Span {
    let Failure { shard, attempt, worker, .. } = failure;
    tracing::error_span!("attempt", %shard, %attempt, worker, device = tracing::field::Empty)
}
