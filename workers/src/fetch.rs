//! The first stage: reads the rows of the assigned shards in order, ahead of the decoder.

use crate::{
    fault::Fault,
    flow::{Attempt, Fetched, Flow, Suspects},
    memory::InFlight,
    skip_list::SkipList,
    stage_timings::{Stage, StageTimings},
};
use capfilt_pipeline::input::{InputColumns, Rows, Sample, ShardReader};
use capfilt_schemas::{job::JobDigest, settings::Limits, worker_protocol::Assignment};
use capfilt_store::Location;
use std::{sync::Arc, time::Instant};
use tokio::sync::{
    mpsc::{Receiver, Sender},
    oneshot,
};
use tracing::{Instrument as _, Span};

/// Source of rows, limits of the reading, and names for the log.
pub(crate) struct Source {
    /// The job's bucket, which has the commits that a repair starts from.
    pub bucket: Location,
    pub job: JobDigest,
    pub input: Location,
    pub columns: InputColumns,
    /// The job's limits; a retry may replace them.
    pub limits: Limits,
    pub batch_rows: usize,
    pub in_flight: InFlight,
    /// Bytes of the pixels that the models receive for one image.
    pub pixel_bytes: u64,
    /// Name of the worker process, for the log.
    pub worker: String,
    pub device: String,
}

/// Reads every assigned shard until the assignments end or the receiver is gone.
pub(crate) async fn fetch(source: Source, mut assignments: Receiver<Assignment>, out: Sender<Flow<Fetched>>) {
    while let Some(assignment) = assignments.recv().await {
        let (attempt, begun) = source.begin(assignment).await;
        let read = match begun {
            Ok(()) => source.read(&attempt, &out).instrument(attempt.span.clone()).await,
            Err(fault) => Err(fault),
        };
        let ending = read.map_or_else(|fault| Flow::Broken { attempt, fault }, |()| Flow::End);
        if out.send(ending).await.is_err() {
            return;
        }
    }
}

impl Source {
    async fn begin(&self, assignment: Assignment) -> (Arc<Attempt>, Result<(), Fault>) {
        let limits = assignment.repair.as_ref().map_or(&self.limits, |repair| &repair.limits).clone();
        let clock = StageTimings::start();
        let (skip_list, begun) =
            match SkipList::of(&self.bucket, &self.job, &self.columns.texts, &assignment).await {
                Ok(skip_list) => (skip_list, Ok(())),
                Err(fault) => (SkipList::default(), Err(fault)),
            };
        let span = self.span(&assignment);
        (Arc::new(Attempt { assignment, limits, skip_list, clock, span }), begun)
    }

    /// Span of the attempt, at level error: a span below the log's level would be missing around error lines
    /// too. The coordinator's span of the attempt has the same name and fields.
    fn span(&self, Assignment { shard, attempt, .. }: &Assignment) -> Span {
        let (shard, worker, device) = (&shard.id, &self.worker, &self.device);
        tracing::error_span!("attempt", %shard, %attempt, worker, device)
    }

    async fn open(&self, attempt: &Attempt) -> Result<ShardReader, Fault> {
        let limits = &attempt.limits;
        let columns = InputColumns {
            image_bytes: limits.image_bytes.0,
            text_bytes: limits.text_bytes.0,
            most_texts: limits.texts as usize,
            ..self.columns.clone()
        };
        Ok(ShardReader::open(&self.input, &attempt.assignment.shard, columns, self.batch_rows).await?)
    }

    async fn read(&self, attempt: &Arc<Attempt>, out: &Sender<Flow<Fetched>>) -> Result<(), Fault> {
        if !attempt.assignment.try_alone.is_empty() {
            self.try_alone(attempt, out).await?;
        }
        let opened = Instant::now();
        let mut reader = self.open(attempt).await?;
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
            let held = self.in_flight.take(self.bytes_of(&rows)).await;
            if out.send(Flow::Rows(Fetched { rows, held })).await.is_err() {
                return Ok(());
            }
        }
    }

    fn bytes_of(&self, rows: &Rows) -> u64 {
        rows.bytes.iter().sum::<u64>() + rows.samples.len() as u64 * self.pixel_bytes
    }

    /// Sends the suspected rows ahead and waits until they are done: no other row may be in process
    /// meanwhile.
    async fn try_alone(&self, attempt: &Arc<Attempt>, out: &Sender<Flow<Fetched>>) -> Result<(), Fault> {
        let suspected = |row: u64| attempt.assignment.try_alone.iter().any(|rows| rows.contains(&row));
        let mut reader = self.open(attempt).await?;
        while let Some(rows) = reader.next().await? {
            let samples = rows.samples.into_iter().filter(|sample| suspected(sample.row));
            let samples: Vec<Sample> =
                samples.filter(|sample| attempt.skip_list.skip(sample.row).is_none()).collect();
            let (done, is_done) = oneshot::channel();
            let suspects = Suspects { attempt: Arc::clone(attempt), samples, done };
            if out.send(Flow::Suspects(suspects)).await.is_err() {
                return Ok(());
            }
            let _ = is_done.await;
        }
        Ok(())
    }
}
