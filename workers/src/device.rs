//! The third stage: one thread that owns the models.

use crate::{
    batcher::Batcher,
    decoders::{Decoders, limited, time_limit},
    fault::Fault,
    flow::{Attempt, Flow, Judged, PreparedRows, Suspects, handling},
    stage_timings::Stage,
};
use arrow::error::ArrowError;
use capfilt_pipeline::{
    capfilt::CapFilt,
    model::ModelError,
    output::JudgedRows,
    prepare::{PrepareSpec, Prepared},
};
use capfilt_schemas::{
    failure::FailureClass,
    ledger::LedgerRow,
    worker_protocol::{self, Event},
};
use std::{collections::VecDeque, sync::Arc, time::Instant};
use tokio::sync::mpsc::Sender;

/// The receiver of judged rows is gone.
struct Gone;

type Sent = Result<(), Gone>;
type Events<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// Chunks that are announced to a program that writes the captions, while the chunk before them is judged.
/// Memory: their rows are counted as rows in flight.
const AHEAD: usize = 2;

/// State of the stage's thread.
pub(crate) struct Device {
    capfilt: CapFilt,
    /// Specification for suspected rows; all other rows arrive prepared.
    spec: PrepareSpec,
    batcher: Batcher,
    /// The shard whose rows arrive; `None` after it broke here.
    current: Option<Arc<Attempt>>,
    out: Sender<Flow<Judged>>,
}

impl Device {
    pub(crate) fn new(capfilt: CapFilt, spec: PrepareSpec, out: Sender<Flow<Judged>>) -> Self {
        Self { capfilt, spec, batcher: Batcher::default(), current: None, out }
    }

    /// Judges rows until its input ends or its receiver is gone.
    pub(crate) fn work(mut self, rows: &crossbeam_channel::Receiver<Flow<PreparedRows>>, events: Events) {
        let mut ahead = VecDeque::new();
        loop {
            let message = match ahead.pop_front() {
                Some(message) => message,
                None => match rows.recv() {
                    Ok(message) => self.announced(message),
                    Err(_) => return,
                },
            };
            while self.capfilt.takes_announcements()
                && ahead.len() < AHEAD
                && let Ok(next) = rows.try_recv()
            {
                ahead.push_back(self.announced(next));
            }
            if self.take(message, events).is_err() {
                return;
            }
        }
    }

    /// Announces the images of a chunk to another program that writes the captions.
    fn announced(&mut self, message: Flow<PreparedRows>) -> Flow<PreparedRows> {
        if let Flow::Rows(chunk) = &message {
            self.capfilt.announce(&chunk.rows);
        }
        message
    }

    fn take(&mut self, message: Flow<PreparedRows>, events: Events) -> Sent {
        match message {
            Flow::Suspects(suspects) => {
                self.try_alone(suspects, events);
                Ok(())
            }
            Flow::Begin { attempt, passthrough } => {
                events(Event::Started { shard: attempt.assignment.shard.id.clone() });
                self.current = Some(Arc::clone(&attempt));
                self.send(Flow::Begin { attempt, passthrough })
            }
            Flow::Broken { attempt, fault } => self.give_up(attempt, fault),
            Flow::Rows(chunk) => {
                self.batcher.push(chunk);
                self.step(events, false)
            }
            Flow::End => {
                let last = self.step(events, true);
                // A shard that broke on the device has ended already.
                let ended = self.current.take().map_or(Ok(()), |_| self.send(Flow::End));
                last.and(ended)
            }
        }
    }

    fn send(&self, message: Flow<Judged>) -> Sent {
        self.out.blocking_send(message).map_err(|_| Gone)
    }

    fn give_up(&mut self, attempt: Arc<Attempt>, fault: Fault) -> Sent {
        self.batcher.clear();
        self.current = None;
        self.send(Flow::Broken { attempt, fault })
    }

    /// Judges every full batch and, at the end of the shard, the remaining rows. Drops the rows of a broken
    /// shard.
    fn step(&mut self, events: Events, at_end: bool) -> Sent {
        let Some(attempt) = self.current.clone() else {
            self.batcher.clear();
            return Ok(());
        };
        loop {
            let next = self.batcher.full(self.capfilt.batch()).and_then(|full| match full {
                None if at_end => self.batcher.rest(),
                full => Ok(full),
            });
            match next.map_err(arrow_fault).and_then(|rows| self.judge(&attempt, rows, events)) {
                Ok(None) => return Ok(()),
                Ok(Some(judged)) => self.send(Flow::Rows(judged))?,
                Err(fault) => return self.give_up(attempt, fault),
            }
        }
    }

    fn judge(
        &mut self,
        attempt: &Attempt,
        rows: Option<PreparedRows>,
        events: Events,
    ) -> Result<Option<Judged>, Fault> {
        let Some(PreparedRows { rows, passthrough, held, .. }) = rows else { return Ok(None) };
        let from = Instant::now();
        handling(attempt, worker_protocol::Stage::Device, rows.iter().map(|row| row.sample.row)).map(events);
        let span = Stage::Device.span(&attempt.span);
        span.record("rows", rows.len());
        let ledger = span.in_scope(|| self.ledger(attempt, &rows))?;
        drop(span);
        attempt.clock.add(Stage::Device, from);
        attempt.span.in_scope(|| {
            tracing::debug!(rows = rows.len(), seconds = from.elapsed().as_secs_f64(), "judged")
        });
        let (images, texts) = rows.into_iter().map(|row| (row.sample.image, row.sample.texts)).unzip();
        let judged = JudgedRows { ledger, images, texts, passthrough };
        Ok(Some(Judged { rows: judged, batch: self.capfilt.batch(), held }))
    }

    fn ledger(&mut self, attempt: &Attempt, rows: &[Prepared]) -> Result<Vec<LedgerRow>, ModelError> {
        #[cfg(feature = "poison")]
        crate::poison::strike(
            "device",
            &rows.iter().filter(|r| r.image.is_ok()).map(|r| r.sample.row).collect::<Vec<_>>(),
        );
        attempt.span.in_scope(|| self.capfilt.judge(&attempt.assignment.shard.file.path, rows))
    }

    /// Takes each row through all stages. The result is ignored: the test is whether the process survives.
    fn try_alone(&mut self, Suspects { attempt, samples, done }: Suspects, events: Events) {
        let (spec, mut decoders) = (limited(&self.spec, &attempt.limits), Decoders::new(1));
        for sample in samples {
            handling(&attempt, worker_protocol::Stage::Alone, std::iter::once(sample.row)).map(events);
            let row =
                decoders.prepare_all(vec![sample], &spec, &attempt.skip_list, time_limit(&attempt.limits));
            if let Err(error) = self.ledger(&attempt, &row) {
                tracing::debug!(%error, "a suspected row failed; the attempt will report the failure again");
            }
        }
        drop(done);
    }
}

fn arrow_fault(error: ArrowError) -> Fault {
    Fault {
        class: FailureClass::Unreadable,
        message: format!("the pass-through columns cannot be joined: {error}"),
    }
}
