//! Connects the stages.

use crate::{
    decode::decode,
    decoders::{Decoders, limited},
    device::Device,
    fetch::{Source, fetch},
    memory::InFlight,
    write::{WriteSpec, write},
};
use capfilt_pipeline::{
    capfilt::{CapFilt, frames},
    framing::Square,
    image::ImageLimits,
    input::{InputColumns, Links},
    prepare::PrepareSpec,
};
use capfilt_schemas::{
    job::JobDigest,
    predicate::{Predicate, PredicateError},
    settings::Settings,
    worker_protocol::{Assignment, Event},
};
use capfilt_store::Location;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc::{Receiver, channel};

/// Chunks between two stages: one that is processed and one that is ready. More would only hide a slow stage.
///
/// A chunk has up to `batch` rows or 64 MiB; [`Worker::memory`] bounds the bytes of all chunks.
const CHUNKS: usize = 2;

/// Inputs of a worker process.
pub struct Worker {
    /// Name in commits, failure records and logs.
    pub name: String,
    /// Name of the device in logs.
    pub device: String,
    /// Location of the job.
    pub bucket: Location,
    /// The job that the commits belong to.
    pub job: JobDigest,
    /// Location of the input.
    pub input: Location,
    /// The job's frozen settings.
    pub settings: Settings,
    /// Models and thresholds of the job.
    pub capfilt: CapFilt,
    /// Number of threads that decode images.
    pub decode_threads: usize,
    /// Bytes of input that this process may hold; `docs/memory.md` lists what is counted. Half of them are
    /// for rows in flight, with a minimum of two batches; the other half is for the row group that is being
    /// read.
    pub memory: u64,
}

/// Executes assignments until they end; every assignment ends in one `Committed` or `Failed` event.
///
/// The models compute on the caller's thread, which should be the thread that loaded and tested them:
/// libtorch has a team of OpenMP threads per calling thread, and if the teams have more threads than there
/// are cores, OpenMP puts the threads to sleep after every operation.
///
/// # Errors
/// A `where` of the job that does not parse, which planning would have refused; no HTTP client for links.
///
/// # Panics
/// A panic of a stage, which is a bug; the process should end then, because its shards have no owner. Also a
/// runtime of one thread, which the models would block.
pub async fn run(
    worker: Worker,
    assignments: Receiver<Assignment>,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> Result<(), StartError> {
    let events: Arc<dyn Fn(Event) + Send + Sync> = Arc::new(events);
    let columns = linked_columns(&worker.settings, worker.memory / 2)?;
    let spec = prepare_spec(&worker.settings, &worker.capfilt);
    let batch_rows = worker.capfilt.batch();
    let of_each = frames(&worker.settings).map_or(1, |frames| frames.count as u64);
    let pixel_bytes = of_each * pixel_bytes(&worker.capfilt);
    let source = Source {
        bucket: worker.bucket.clone(),
        job: worker.job.clone(),
        input: worker.input,
        columns,
        limits: worker.settings.limits.clone(),
        batch_rows,
        in_flight: InFlight::new(worker.memory / 2, batch_rows as u64 * pixel_bytes),
        pixel_bytes,
        worker: worker.name.clone(),
        device: worker.device,
    };
    let write_spec = WriteSpec {
        bucket: worker.bucket,
        worker: worker.name,
        output: worker.settings.output.clone(),
        optional: worker.capfilt.optional_columns(),
        job: worker.job,
    };
    let decoders = Decoders::new(worker.decode_threads);

    let (fetched, to_decode) = channel(CHUNKS);
    let (decoded, to_device) = crossbeam_channel::bounded(CHUNKS);
    let (judged, to_write) = channel(CHUNKS);
    let fetching = tokio::spawn(fetch(source, assignments, fetched));
    let (decode_spec, decode_events) = (spec.clone(), Arc::clone(&events));
    let decoding = std::thread::spawn(move || {
        decode(decoders, &decode_spec, to_decode, &decoded, decode_events.as_ref())
    });
    let device = Device::new(worker.capfilt, spec, judged);
    let write_events = Arc::clone(&events);
    let writing = tokio::spawn(async move { write(&write_spec, to_write, write_events.as_ref()).await });
    // After a panic, the stage's channels must be dropped before the other stages are awaited: a stage ends
    // when its neighbours are gone.
    let judging = AssertUnwindSafe(move || device.work(&to_device, events.as_ref()));
    let judged = tokio::task::block_in_place(|| catch_unwind(judging));
    writing.await.expect("writing does not panic");
    judged.expect("judging does not panic");
    // Fetching comes last: after a panic of another stage it may still wait for an assignment.
    decoding.join().expect("decoding does not panic");
    fetching.await.expect("fetching does not panic");
    Ok(())
}

/// Reason why a worker process cannot begin.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum StartError {
    #[error(transparent)]
    Where(#[from] PredicateError),
    #[error("{0}")]
    Links(String),
}

/// Columns to read, with the fetching of their links. `memory` is for a row group and, in a job with links,
/// one half of it for the rows ahead.
pub(crate) fn linked_columns(settings: &Settings, memory: u64) -> Result<InputColumns, StartError> {
    // The machine's setting, as of its stores: a job does not record it.
    let outage = Duration::from_secs(capfilt_store::outage_seconds());
    let links = Links::new(&settings.links, memory / 2, outage).map_err(StartError::Links)?;
    let memory = if links.is_some() { memory / 2 } else { memory };
    Ok(InputColumns { links, ..columns(settings, memory)? })
}

/// Bytes of pixels per image or frame; captioner and filter share the pixels if their sides are equal.
fn pixel_bytes(capfilt: &CapFilt) -> u64 {
    let (captioner, filter) = capfilt.image_sides();
    let square = |side: usize| 3 * side as u64 * side as u64;
    let clip = capfilt.clip_square().map_or(0, |clip| square(clip.side));
    square(captioner) + if filter == captioner { 0 } else { square(filter) } + clip
}

/// Columns to read from the input, with `memory` bytes for a row group.
fn columns(settings: &Settings, memory: u64) -> Result<InputColumns, PredicateError> {
    let input = &settings.input;
    Ok(InputColumns {
        key: input.key.clone(),
        image: input.image.clone(),
        texts: input.text.names().iter().map(|name| name.as_str().into()).collect(),
        selection: input.filter.as_deref().map(Predicate::parse).transpose()?,
        passthrough: input.passthrough.clone(),
        max_words: settings.filter.max_words as usize,
        image_bytes: settings.limits.image_bytes.0,
        text_bytes: settings.limits.text_bytes.0,
        most_texts: settings.limits.texts as usize,
        seed: settings.job.seed,
        memory,
        links: None,
    })
}

pub(crate) fn prepare_spec(settings: &Settings, capfilt: &CapFilt) -> PrepareSpec {
    let ((captioner_side, filter_side), clip) = (capfilt.image_sides(), capfilt.clip_square());
    let largest = captioner_side.max(filter_side).max(clip.map_or(0, Square::shorter_edge));
    let reduced_side = if settings.input.jpeg_reduction { largest as u32 } else { 0 };
    let spec = PrepareSpec {
        limits: ImageLimits {
            exif_rotation: settings.input.exif_rotation,
            reduced_side,
            ..ImageLimits::default()
        },
        text_bytes: 0,
        max_words: settings.filter.max_words as usize,
        languages: settings.filter.languages.clone(),
        captioner_side,
        filter_side,
        clip,
        frames: frames(settings),
    };
    limited(&spec, &settings.limits)
}
