//! One tracing span per attempt a child has in hand: what happens to the attempt is told inside it.
//!
//! The child's own events about the attempt stand in a span of the same name and fields, so that a log of
//! many processes can be searched by any of them.

use capfilt_schemas::{
    failure::Failure,
    names::AttemptId,
    pipe::{Assignment, Event},
};
use std::collections::HashMap;
use tracing::Span;

/// The spans of all attempts in hand, with the worker they are with.
#[derive(Debug, Default)]
pub(super) struct AttemptSpans(HashMap<AttemptId, (usize, Span)>);

impl AttemptSpans {
    pub fn begin(&mut self, assignment: &Assignment, index: usize, worker: &str, device: &str) {
        let (shard, attempt) = (&assignment.shard.id, &assignment.attempt);
        // At the level of errors: a span below the log's level would be missing around the errors too.
        let span = tracing::error_span!("attempt", %shard, %attempt, worker, device);
        span.in_scope(|| tracing::info!(rows = assignment.shard.rows, "handed out"));
        self.0.insert(attempt.clone(), (index, span));
    }

    /// Notes a commit; what ends in failure is told by [`AttemptSpans::of`]'s caller, who knows what follows.
    pub fn hear(&mut self, event: &Event) {
        if let Event::Committed { attempt, rows, superseded, cost, .. } = event {
            let _in_span = self.end(attempt).entered();
            let (batch, seconds) = (cost.batch, cost.timings.total_seconds);
            if *superseded {
                tracing::info!(rows, "another attempt was first; this one's work is wasted");
            } else {
                tracing::info!(rows, batch, seconds, "committed");
            }
        }
    }

    /// The span of an attempt that is over.
    pub fn end(&mut self, attempt: &AttemptId) -> Span {
        self.0.remove(attempt).map_or_else(Span::none, |(_, span)| span)
    }

    /// Drops what a dead worker had in hand.
    pub fn end_all_of(&mut self, index: usize) {
        self.0.retain(|_, (worker, span)| {
            let stays = *worker != index;
            if !stays {
                span.in_scope(|| tracing::warn!("its worker is gone; the shard goes back"));
            }
            stays
        });
    }
}

/// The span of a failure that was heard of from elsewhere.
pub(super) fn span_of(failure: &Failure) -> Span {
    let Failure { shard, attempt, worker, .. } = failure;
    tracing::error_span!("attempt", %shard, %attempt, worker, device = tracing::field::Empty)
}
