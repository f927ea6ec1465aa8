//! The first stage: reads the rows of the assigned shards in order, ahead of the decoder.

use crate::{
    fault::Fault,
    flow::{Attempt, Fetched, Flow, Suspects},
    memory::InFlight,
    skip_list::SkipList,
    stage_timings::{Stage, StageTimings},
};
use capfilt_pipeline::input::{InputColumns, ReadOut, Rows, Sample, ShardReader};
use capfilt_schemas::{job::JobDigest, settings::Limits, worker_protocol::Assignment};
use capfilt_store::Location;
use std::{ops::Range, sync::Arc, time::Instant};
use tokio::sync::{
    Notify,
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

/// An attempt that has begun.
struct Begun {
    attempt: Arc<Attempt>,
    /// The reader of a shard with links, which reads ahead; `None` for other shards, which are opened when
    /// their turn comes.
    reader: Result<Option<ShardReader>, Fault>,
}

/// The receiver of rows is gone.
struct Gone;

/// Waits for the end of a reading ahead, if there is one.
async fn ended(read_out: Option<ReadOut>) {
    match read_out {
        Some(mut read_out) => read_out.ended().await,
        None => std::future::pending().await,
    }
}

/// Reads every assigned shard until the assignments end or the receiver is gone.
///
/// Links of the next shard are fetched from the moment when those of this one have no more rows ahead.
pub(crate) async fn fetch(source: Source, mut assignments: Receiver<Assignment>, out: Sender<Flow<Fetched>>) {
    let mut begun = source.next(&mut assignments).await;
    while let Some(Begun { attempt, reader }) = begun {
        let read_out = reader.as_ref().ok().and_then(|reader| reader.as_ref()?.read_out());
        let is_over = Notify::new();
        let reading = async {
            let read = source.read(&attempt, reader, &out).instrument(attempt.span.clone()).await;
            let ending = match read {
                Ok(()) => Flow::End,
                Err(fault) => Flow::Broken { attempt: Arc::clone(&attempt), fault },
            };
            out.send(ending).await.map_err(|_| Gone)?;
            is_over.notify_one();
            Ok::<_, Gone>(())
        };
        let next = async {
            tokio::select! {
                () = is_over.notified() => {}
                () = ended(read_out) => {}
            }
            Ok(source.next(&mut assignments).await)
        };
        match tokio::try_join!(reading, next) {
            Ok(((), next)) => begun = next,
            Err(Gone) => return,
        }
    }
}

impl Source {
    /// Begins the next assignment; `None` if they have ended.
    async fn next(&self, assignments: &mut Receiver<Assignment>) -> Option<Begun> {
        let (attempt, begun) = self.begin(assignments.recv().await?).await;
        let is_ahead = self.columns.links.is_some() && attempt.assignment.try_alone.is_empty();
        let reader = match begun {
            Ok(()) if is_ahead => self.open(&attempt, None).await.map(Some),
            Ok(()) => Ok(None),
            Err(fault) => Err(fault),
        };
        Some(Begun { attempt, reader })
    }

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

    /// Opens the shard. `only`: the rows whose links are fetched; `None` for all rows that are processed.
    async fn open(&self, attempt: &Attempt, only: Option<&[Range<u64>]>) -> Result<ShardReader, Fault> {
        let opened = Instant::now();
        let limits = &attempt.limits;
        let earlier = || attempt.skip_list.earlier_images(&self.bucket, only);
        let links = self.columns.links.as_ref().map(|links| links.with_earlier(earlier()));
        let columns = InputColumns {
            image_bytes: limits.image_bytes.0,
            text_bytes: limits.text_bytes.0,
            most_texts: limits.texts as usize,
            links,
            ..self.columns.clone()
        };
        let reader =
            ShardReader::open(&self.input, &attempt.assignment.shard, columns, self.batch_rows).await;
        attempt.clock.add(Stage::Fetch, opened);
        Ok(reader?)
    }

    async fn read(
        &self,
        attempt: &Arc<Attempt>,
        reader: Result<Option<ShardReader>, Fault>,
        out: &Sender<Flow<Fetched>>,
    ) -> Result<(), Fault> {
        let mut reader = match reader? {
            Some(reader) => reader,
            None => {
                if !attempt.assignment.try_alone.is_empty() {
                    self.try_alone(attempt, out).await?;
                }
                self.open(attempt, None).await?
            }
        };
        let begin = Flow::Begin { attempt: Arc::clone(attempt), passthrough: reader.passthrough().to_vec() };
        if out.send(begin).await.is_err() {
            return Ok(());
        }
        loop {
            let asked = Instant::now();
            let span = Stage::Fetch.span(&attempt.span);
            let rows = reader.next().instrument(span.clone()).await?;
            attempt.clock.add(Stage::Fetch, asked);
            let Some(rows) = rows else { return Ok(()) };
            span.record("rows", rows.samples.len());
            drop(span);
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
        let mut reader = self.open(attempt, Some(&attempt.assignment.try_alone)).await?;
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
