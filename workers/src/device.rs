//! The third stage: one thread that owns the models.

use crate::{
    batcher::Batcher,
    clock::Stage,
    decode::PreparedRows,
    failing::Fault,
    fetch::{Attempt, Flow},
};
use arrow::error::ArrowError;
use capfilt_pipeline::{capfilt::CapFilt, output::JudgedRows};
use capfilt_schemas::{failure::FailureClass, pipe::Event};
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::Sender;

/// Judged rows, with the batch size they were judged at.
#[derive(Debug)]
pub(crate) struct Judged {
    pub rows: JudgedRows,
    pub batch: usize,
}

/// Judges what comes in until nothing more comes or nobody wants it.
pub(crate) fn device(
    mut capfilt: CapFilt,
    rows: &crossbeam_channel::Receiver<Flow<PreparedRows>>,
    out: &Sender<Flow<Judged>>,
    events: &(dyn Fn(Event) + Send + Sync),
) {
    let mut batcher = Batcher::default();
    let mut current: Option<Arc<Attempt>> = None;
    for message in rows {
        let sent = match message {
            Flow::Begin { attempt, passthrough } => {
                events(Event::Started { shard: attempt.assignment.shard.id.clone() });
                current = Some(Arc::clone(&attempt));
                out.blocking_send(Flow::Begin { attempt, passthrough })
            }
            Flow::Broken { attempt, fault } => {
                batcher.clear();
                current = None;
                out.blocking_send(Flow::Broken { attempt, fault })
            }
            Flow::Rows(chunk) => {
                batcher.push(chunk);
                step(&mut capfilt, &mut batcher, &mut current, out, false)
            }
            Flow::End => {
                let last = step(&mut capfilt, &mut batcher, &mut current, out, true);
                // A shard that broke on the device has ended already.
                let ended = current.take().map_or(Ok(()), |_| out.blocking_send(Flow::End));
                last.and(ended)
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

type Sent = Result<(), tokio::sync::mpsc::error::SendError<Flow<Judged>>>;

/// Judges every full batch, and what is left when the shard is at its end. A broken shard's rows are dropped.
fn step(
    capfilt: &mut CapFilt,
    batcher: &mut Batcher,
    current: &mut Option<Arc<Attempt>>,
    out: &Sender<Flow<Judged>>,
    at_end: bool,
) -> Sent {
    let Some(attempt) = current.clone() else {
        batcher.clear();
        return Ok(());
    };
    loop {
        let next = batcher.full(capfilt.batch()).and_then(|full| match full {
            None if at_end => batcher.rest(),
            full => Ok(full),
        });
        match next.map_err(arrow_fault).and_then(|rows| judge(capfilt, &attempt, rows)) {
            Ok(None) => return Ok(()),
            Ok(Some(judged)) => out.blocking_send(Flow::Rows(judged))?,
            Err(fault) => {
                batcher.clear();
                *current = None;
                return out.blocking_send(Flow::Broken { attempt, fault });
            }
        }
    }
}

fn judge(capfilt: &mut CapFilt, attempt: &Attempt, rows: Option<PreparedRows>) -> Result<Option<Judged>, Fault> {
    let Some(PreparedRows { rows, passthrough }) = rows else { return Ok(None) };
    let from = Instant::now();
    let ledger = capfilt.judge(&attempt.assignment.shard.file.path, &rows)?;
    attempt.clock.add(Stage::Device, from);
    let (images, texts) = rows.into_iter().map(|row| (row.sample.image, row.sample.text)).unzip();
    Ok(Some(Judged { rows: JudgedRows { ledger, images, texts, passthrough }, batch: capfilt.batch() }))
}

fn arrow_fault(error: ArrowError) -> Fault {
    Fault { class: FailureClass::Unreadable, message: format!("the pass-through columns cannot be joined: {error}") }
}
