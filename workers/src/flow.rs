//! Messages between the stages.

use crate::{fault::Fault, memory::Held, skip_list::SkipList, stage_timings::StageTimings};
use arrow::{array::RecordBatch, datatypes::Field};
use capfilt_pipeline::{
    input::{Rows, Sample},
    output::JudgedRows,
    prepare::Prepared,
};
use capfilt_schemas::{
    settings::Limits,
    worker_protocol::{self, Assignment, Event},
};
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::Span;

/// An attempt at a shard on its way through the stages.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub assignment: Assignment,
    pub limits: Limits,
    pub skip_list: SkipList,
    pub clock: StageTimings,
    /// Span of every stage's log lines about the attempt.
    pub span: Span,
}

/// Message between two stages: a shard's begin, its rows, and its end or its fault.
#[derive(Debug)]
pub(crate) enum Flow<T> {
    /// Suspected rows, before the shard begins.
    Suspects(Suspects),
    Begin {
        attempt: Arc<Attempt>,
        passthrough: Vec<Field>,
    },
    Rows(T),
    End,
    /// The shard that began, or could not begin, has no further rows.
    Broken {
        attempt: Arc<Attempt>,
        fault: Fault,
    },
}

/// Rows as read, counted as in flight until they are written.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub rows: Rows,
    pub held: Arc<Held>,
}

/// Rows to try alone, one after the other, in the stage that owns the models.
#[derive(Debug)]
pub(crate) struct Suspects {
    pub attempt: Arc<Attempt>,
    pub samples: Vec<Sample>,
    /// Dropped after the last row.
    pub done: oneshot::Sender<()>,
}

/// Event that reports the rows that a stage will process; `None` without rows.
pub(crate) fn handling(
    attempt: &Attempt,
    stage: worker_protocol::Stage,
    rows: impl Iterator<Item = u64>,
) -> Option<Event> {
    let (first, last) = rows.fold((None, None), |(first, _), row| (first.or(Some(row)), Some(row)));
    Some(Event::Handling { shard: attempt.assignment.shard.id.clone(), stage, rows: first?..last? + 1 })
}

/// Consecutive rows, ready for the models.
#[derive(Debug)]
pub(crate) struct PreparedRows<R = Prepared> {
    pub rows: Vec<R>,
    /// Bytes of each row in memory.
    pub bytes: Vec<u64>,
    pub passthrough: RecordBatch,
    /// The rows' share of the bytes in flight.
    pub held: Vec<Arc<Held>>,
}

/// Judged rows, with the batch size of their model calls.
#[derive(Debug)]
pub(crate) struct Judged {
    pub rows: JudgedRows,
    pub batch: usize,
    /// The rows' share of the bytes in flight, returned when the rows are written.
    pub held: Vec<Arc<Held>>,
}
