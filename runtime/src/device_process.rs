//! The worker process of one device, which its parent process controls through pipes.

use crate::{models, self_test};
use anyhow::anyhow;
use capfilt_blip::DeviceChoice;
use capfilt_console::{ExitCodeExt as _, Failure, leave, shutdown};
use capfilt_coordinator::job;
use capfilt_schemas::worker_protocol::{Event, SHARDS_IN_CHILD};
use capfilt_store::Location;
use capfilt_workers::{Worker, parent_pipes};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use tokio::sync::mpsc;

/// Exit code of a Rust process whose main thread panicked.
const PANICKED: i32 = 101;

/// Inputs of a worker process.
#[derive(Debug, Clone)]
pub struct DeviceProcess {
    /// URL of the job.
    pub job: String,
    /// Name of the device.
    pub device: String,
    /// Name of the process in commits and failure records.
    pub name: String,
    /// Threads of the models.
    pub model_threads: usize,
    /// Threads that decode images.
    pub decode_threads: usize,
    /// Bytes of input that the process may hold in memory.
    pub memory: u64,
}

/// Loads the job's models, proves them, and processes assignments until the pipe is closed.
///
/// # Errors
/// A job that cannot be read, models that do not load or fail the self-test, and a broken pipe.
pub async fn run(args: &DeviceProcess) -> Result<(), Failure> {
    shutdown::ignore_terminal_interrupt();
    capfilt_blip::set_threads(args.model_threads);
    // The parent process has reached the stores before. A store that does not answer now has an outage, so
    // this process waits for it.
    capfilt_store::expect_stores();
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let found = job::find_with_digest(&bucket).await.or_environment_error()?;
    let (job, digest) = found.ok_or_else(|| anyhow!("{} holds no job", args.job)).or_usage_error()?;
    let device: DeviceChoice = args.device.parse().map_err(anyhow::Error::msg).or_usage_error()?;
    let known = self_test::of_job(&bucket, &job).await?;
    let mut capfilt = models::load(&job, device).await?;
    let agreement = self_test::prove(&mut capfilt, &known, job.settings.models.precision)?;
    tracing::info!("{}: {agreement}", args.device);
    parent_pipes::say(&Event::Ready { device: args.device.clone(), worker: args.name.clone() });
    let worker = Worker {
        name: args.name.clone(),
        device: args.device.clone(),
        input: Location::open(&job.settings.input.url).or_usage_error()?,
        bucket,
        job: digest,
        settings: job.settings,
        capfilt,
        decode_threads: args.decode_threads,
        memory: args.memory,
    };
    let (assign, assignments) = mpsc::channel(SHARDS_IN_CHILD);
    let reading = tokio::spawn(parent_pipes::read_assignments(assign));
    // On this thread, which has loaded the models.
    let working =
        AssertUnwindSafe(capfilt_workers::run(worker, assignments, |event| parent_pipes::say(&event)))
            .catch_unwind();
    // A stage that panicked leaves its shards unfinished, so the whole process exits.
    let worked = working.await.unwrap_or_else(|_| leave(PANICKED));
    worked.or_usage_error()?;
    reading.await.or_environment_error()?.or_environment_error()?;
    Ok(())
}
