//! The stages put together.

use crate::{
    decode::decode,
    decoders::{Decoders, limited},
    device::Device,
    fetch::{Source, fetch},
    memory::InFlight,
    write::{WriteSpec, write},
};
use capfilt_bucket::{Bucket, Place};
use capfilt_pipeline::{capfilt::CapFilt, image::ImageLimits, input::InputColumns, prepare::PrepareSpec};
use capfilt_schemas::{
    job::JobDigest,
    pipe::{Assignment, Event},
    predicate::{Predicate, PredicateError},
    settings::Settings,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::sync::mpsc::{Receiver, channel};

/// Chunks of rows between two stages: one being worked on, one ready. More would only hide a slow stage.
///
/// A chunk has up to `batch` rows or 64 MiB; what all of them may take together is [`Worker::memory`]'s to
/// say.
const CHUNKS: usize = 2;

/// What a worker needs.
pub struct Worker {
    /// Name in commits, failures and logs.
    pub name: String,
    /// The device's name in logs.
    pub device: String,
    pub bucket: Bucket,
    /// The job that commits are made for.
    pub job: JobDigest,
    pub input: Place,
    /// The job's frozen settings.
    pub settings: Settings,
    pub capfilt: CapFilt,
    pub decode_threads: usize,
    /// Bytes that this worker may hold of its input; `docs/memory.md` says what is counted. Half of them are
    /// for rows in flight, and never less than two batches take; the other half is for the row group that is
    /// read.
    pub memory: u64,
}

/// Works through assignments until they end; every one of them ends in one `Committed` or `Failed` event.
///
/// The models compute on the caller's thread, which should be the one that they were loaded and tried on:
/// libtorch has a team of threads for every thread that calls it, and once there are more of them than cores,
/// OpenMP puts them to sleep after every operation.
///
/// # Errors
/// When the job's `where` does not parse, which planning would have refused.
///
/// # Panics
/// When a stage does, which is a bug; the process should end then, since its shards have no owner. And in a
/// runtime of one thread, which the models would block.
pub async fn run(
    worker: Worker,
    assignments: Receiver<Assignment>,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> Result<(), PredicateError> {
    let events: Arc<dyn Fn(Event) + Send + Sync> = Arc::new(events);
    let columns = columns(&worker.settings, worker.memory / 2)?;
    let spec = prepare_spec(&worker.settings, worker.capfilt.image_sides());
    let batch_rows = worker.capfilt.batch();
    let pixel_bytes = pixel_bytes(worker.capfilt.image_sides());
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
        images: worker.settings.output.images,
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
    // What a panic leaves must be dropped before anyone waits for the other stages: they end when their
    // neighbours are gone.
    let judging = AssertUnwindSafe(move || device.work(&to_device, events.as_ref()));
    let judged = tokio::task::block_in_place(|| catch_unwind(judging));
    writing.await.expect("writing does not panic");
    judged.expect("judging does not panic");
    // Fetching comes last: when another stage panicked, it may still be waiting for an assignment.
    decoding.join().expect("decoding does not panic");
    fetching.await.expect("fetching does not panic");
    Ok(())
}

/// What is made of an image for the models; both share it when they take the same side.
fn pixel_bytes((captioner, filter): (usize, usize)) -> u64 {
    let square = |side: usize| 3 * side as u64 * side as u64;
    square(captioner) + if filter == captioner { 0 } else { square(filter) }
}

/// What is read of the input, with room for `memory` bytes of a row group.
pub(crate) fn columns(settings: &Settings, memory: u64) -> Result<InputColumns, PredicateError> {
    let input = &settings.input;
    Ok(InputColumns {
        key: input.key.clone(),
        image: input.image.clone(),
        text: input.text.clone(),
        selection: input.filter.as_deref().map(Predicate::parse).transpose()?,
        passthrough: input.passthrough.clone(),
        max_words: settings.filter.max_words as usize,
        image_bytes: settings.limits.image_bytes.0,
        text_bytes: settings.limits.text_bytes.0,
        seed: settings.job.seed,
        memory,
    })
}

pub(crate) fn prepare_spec(
    settings: &Settings,
    (captioner_side, filter_side): (usize, usize),
) -> PrepareSpec {
    let reduced_side = if settings.input.jpeg_reduction { captioner_side.max(filter_side) as u32 } else { 0 };
    let spec = PrepareSpec {
        limits: ImageLimits {
            bytes: 0,
            pixels: 0,
            min_side: 0,
            exif_rotation: settings.input.exif_rotation,
            reduced_side,
        },
        text_bytes: 0,
        max_words: settings.filter.max_words as usize,
        captioner_side,
        filter_side,
    };
    limited(&spec, &settings.limits)
}
