//! What the stages hand to each other.

use crate::{clock::ShardClock, failing::Fault, memory::Held, settled::Settled};
use arrow::{array::RecordBatch, datatypes::Field};
use capfilt_pipeline::{
    input::{Rows, Sample},
    output::JudgedRows,
    prepare::Prepared,
};
use capfilt_schemas::{
    pipe::{self, Assignment, Event},
    settings::Limits,
};
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::Span;

/// A shard on its way through the stages.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub assignment: Assignment,
    pub limits: Limits,
    pub settled: Settled,
    pub clock: ShardClock,
    /// What is said about the attempt, in whatever stage, is said in here.
    pub span: Span,
}

/// What goes from stage to stage: a shard's begin, its rows, and its end, or what broke it.
#[derive(Debug)]
pub(crate) enum Flow<T> {
    /// Before the shard begins.
    Suspects(Suspects),
    Begin {
        attempt: Arc<Attempt>,
        passthrough: Vec<Field>,
    },
    Rows(T),
    End,
    /// The shard that began, or that could not begin, has no further rows.
    Broken {
        attempt: Arc<Attempt>,
        fault: Fault,
    },
}

/// Rows as they were read, counted as in flight until they are written.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub rows: Rows,
    pub held: Arc<Held>,
}

/// Rows to be tried alone, one after the other, by the stage that owns the models.
#[derive(Debug)]
pub(crate) struct Suspects {
    pub attempt: Arc<Attempt>,
    pub samples: Vec<Sample>,
    /// Dropped when they are done.
    pub done: oneshot::Sender<()>,
}

/// Says whose rows a stage is going to touch; nothing of none.
pub(crate) fn handling(
    attempt: &Attempt,
    stage: pipe::Stage,
    rows: impl Iterator<Item = u64>,
) -> Option<Event> {
    let (first, last) = rows.fold((None, None), |(first, _), row| (first.or(Some(row)), Some(row)));
    Some(Event::Handling { shard: attempt.assignment.shard.id.clone(), stage, rows: first?..last? + 1 })
}

/// Some consecutive rows, ready for the models.
#[derive(Debug)]
pub(crate) struct PreparedRows {
    pub rows: Vec<Prepared>,
    /// What each row takes in memory.
    pub bytes: Vec<u64>,
    pub passthrough: RecordBatch,
    /// The rows' share of what may be in flight.
    pub held: Vec<Arc<Held>>,
}

/// Judged rows, with the batch size they were judged at.
#[derive(Debug)]
pub(crate) struct Judged {
    pub rows: JudgedRows,
    pub batch: usize,
    /// The rows' share of what may be in flight, given back when they are written.
    pub held: Vec<Arc<Held>>,
}
