//! The first stage: rows of the assigned shards, in order, read ahead of the decoder.

use crate::{
    clock::{ShardClock, Stage},
    failing::Fault,
};
use arrow::datatypes::Field;
use capfilt_bucket::Place;
use capfilt_pipeline::input::{InputColumns, Rows, ShardReader};
use capfilt_schemas::pipe::Assignment;
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::{Receiver, Sender};

/// A shard on its way through the stages.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub assignment: Assignment,
    pub clock: ShardClock,
}

/// What goes from stage to stage: a shard's begin, its rows, and its end, or what broke it.
#[derive(Debug)]
pub(crate) enum Flow<T> {
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

/// Reads every assigned shard until the assignments end or nobody wants rows any more.
pub(crate) async fn fetch(
    input: Place,
    columns: InputColumns,
    batch_rows: usize,
    mut assignments: Receiver<Assignment>,
    out: Sender<Flow<Rows>>,
) {
    while let Some(assignment) = assignments.recv().await {
        let attempt = Arc::new(Attempt { assignment, clock: ShardClock::start() });
        let ending = match read(&input, columns.clone(), batch_rows, &attempt, &out).await {
            Ok(()) => Flow::End,
            Err(fault) => Flow::Broken { attempt, fault },
        };
        if out.send(ending).await.is_err() {
            return;
        }
    }
}

async fn read(
    input: &Place,
    columns: InputColumns,
    batch_rows: usize,
    attempt: &Arc<Attempt>,
    out: &Sender<Flow<Rows>>,
) -> Result<(), Fault> {
    let opened = Instant::now();
    let mut reader = ShardReader::open(input, &attempt.assignment.shard, columns, batch_rows).await?;
    attempt.clock.add(Stage::Fetch, opened);
    let begin = Flow::Begin { attempt: Arc::clone(attempt), passthrough: reader.passthrough().to_vec() };
    if out.send(begin).await.is_err() {
        return Ok(());
    }
    loop {
        let asked = Instant::now();
        let rows = reader.next().await?;
        attempt.clock.add(Stage::Fetch, asked);
        let Some(rows) = rows else { return Ok(()) };
        if out.send(Flow::Rows(rows)).await.is_err() {
            return Ok(());
        }
    }
}
