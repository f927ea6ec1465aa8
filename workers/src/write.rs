//! The last stage: writes the tables, then the commit.

use crate::{
    failure_budget,
    fault::Fault,
    flow::{Attempt, Flow, Judged},
    stage_timings::Stage,
};
use capfilt_pipeline::output::ShardWriter;
use capfilt_schemas::{
    commit::{self, Commit},
    failure::{self, Failure},
    job::JobDigest,
    settings,
    texts::OptionalColumns,
    worker_protocol::Event,
};
use capfilt_store::{Committed, Location, commit};
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::Receiver;
use tracing::Instrument as _;

/// Facts of job and worker process that the stage needs.
pub(crate) struct WriteSpec {
    pub bucket: Location,
    pub worker: String,
    pub output: settings::Output,
    pub optional: OptionalColumns,
    pub job: JobDigest,
}

struct Open {
    attempt: Arc<Attempt>,
    writer: ShardWriter,
    rows: u64,
    batch: usize,
}

/// Writes and commits shards, and sends an event for each.
pub(crate) async fn write(
    spec: &WriteSpec,
    mut judged: Receiver<Flow<Judged>>,
    events: &(dyn Fn(Event) + Send + Sync),
) {
    let mut open: Option<Open> = None;
    while let Some(message) = judged.recv().await {
        let attempt = open.as_ref().map(|open| Arc::clone(&open.attempt));
        let step = match message {
            Flow::Begin { attempt, passthrough } => {
                begin(spec, attempt, &passthrough).map(|opened| open = Some(opened))
            }
            Flow::Rows(judged) => match open.as_mut() {
                Some(open) => {
                    let span = open.attempt.span.clone();
                    append(open, judged, events).instrument(span).await
                }
                // The output of the shard failed before; its rows are dropped.
                None => Ok(()),
            },
            // Suspected rows end at the device.
            Flow::Suspects(_) => Ok(()),
            Flow::End => match open.take() {
                Some(open) => {
                    let span = open.attempt.span.clone();
                    finish(spec, open).instrument(span).await.map(events)
                }
                None => Ok(()),
            },
            Flow::Broken { attempt, fault } => {
                open = None;
                events(failed(spec, &attempt, fault));
                Ok(())
            }
        };
        if let Err((at, fault)) = step {
            open = None;
            if let Some(attempt) = at.or(attempt) {
                events(failed(spec, &attempt, fault));
            }
        }
    }
}

type Step<T> = Result<T, (Option<Arc<Attempt>>, Fault)>;

fn begin(spec: &WriteSpec, attempt: Arc<Attempt>, passthrough: &[arrow::datatypes::Field]) -> Step<Open> {
    let assignment = &attempt.assignment;
    let writer = ShardWriter::create(
        &spec.bucket,
        &assignment.shard.id,
        &assignment.attempt,
        passthrough,
        &spec.output,
        spec.optional,
    );
    match writer {
        Ok(writer) => Ok(Open { attempt, writer, rows: 0, batch: 0 }),
        Err(error) => Err((Some(attempt), error.into())),
    }
}

async fn append(open: &mut Open, judged: Judged, events: &(dyn Fn(Event) + Send + Sync)) -> Step<()> {
    let Judged { rows, batch, held } = judged;
    let from = Instant::now();
    let span = Stage::Write.span(&open.attempt.span);
    span.record("rows", rows.ledger.len());
    open.writer.write(&rows).instrument(span).await.map_err(|error| (None, error.into()))?;
    open.attempt.clock.add(Stage::Write, from);
    open.rows += rows.ledger.len() as u64;
    open.batch = batch;
    drop((rows, held));
    let shard = open.attempt.assignment.shard.id.clone();
    events(Event::Progress { shard, rows: open.rows, tally: open.writer.tally().clone() });
    Ok(())
}

async fn finish(spec: &WriteSpec, open: Open) -> Step<Event> {
    let Open { attempt, writer, rows, batch } = open;
    let fault = |fault: Fault| (Some(Arc::clone(&attempt)), fault);
    if let Some(exceeded) = failure_budget::exceeded(writer.tally(), attempt.limits.failure_budget) {
        return Err(fault(exceeded));
    }
    let from = Instant::now();
    let span = Stage::Write.span(&attempt.span);
    let written = writer.finish().instrument(span).await.map_err(|error| fault(error.into()))?;
    attempt.clock.add(Stage::Write, from);
    let assignment = &attempt.assignment;
    let record = Commit {
        version: commit::VERSION,
        shard: assignment.shard.id.clone(),
        n: assignment.commit_n,
        attempt: assignment.attempt.clone(),
        worker: spec.worker.clone(),
        rows: if assignment.shard.rows_exact { assignment.shard.rows } else { rows },
        tally: written.tally,
        outputs: written.outputs,
        batch: u32::try_from(batch).unwrap_or(u32::MAX),
        timings: attempt.clock.timings(),
        job: Some(spec.job.clone()),
    };
    let ending = commit(&spec.bucket, &record).await.map_err(|error| fault(error.into()))?;
    // If another attempt committed first, its tally counts.
    let (tally, superseded) = match ending {
        Committed::Accepted => (record.tally.clone(), false),
        Committed::Superseded(other) => (other.tally, true),
    };
    let (shard, attempt, rows, cost) =
        (record.shard.clone(), record.attempt.clone(), record.rows, record.cost());
    let seconds = cost.timings.total_seconds;
    tracing::info!(rows, batch, seconds, superseded, "the attempt is over");
    Ok(Event::Committed { shard, attempt, rows, tally, superseded, cost })
}

fn failed(spec: &WriteSpec, attempt: &Attempt, fault: Fault) -> Event {
    // The parent process decides what follows, and logs the warning.
    attempt.span.in_scope(|| tracing::info!(class = %fault.class, "the attempt failed: {}", fault.message));
    let failure = Failure {
        version: failure::VERSION,
        shard: attempt.assignment.shard.id.clone(),
        attempt: attempt.assignment.attempt.clone(),
        worker: spec.worker.clone(),
        class: fault.class,
        message: fault.message,
        crash: None,
        job: Some(spec.job.clone()),
    };
    Event::Failed { failure }
}
