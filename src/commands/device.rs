//! `capfilt device`: the worker process of one device, which its parent process controls through pipes.

use crate::args::DeviceArgs;
use anyhow::{Context as _, anyhow};
use capfilt_blip::DeviceChoice;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure};
use capfilt_coordinator::job;
use capfilt_runtime::{models, self_test};
use capfilt_schemas::worker_protocol::{Assignment, Event, SHARDS_IN_CHILD};
use capfilt_store::Location;
use capfilt_workers::Worker;
use futures::FutureExt as _;
use std::{io::Write as _, panic::AssertUnwindSafe};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::mpsc,
};

/// Exit code of a Rust process whose main thread panicked.
const PANICKED: i32 = 101;

pub async fn run(args: &DeviceArgs) -> Ending {
    ignore_terminal_interrupt();
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
    say(&Event::Ready { device: args.device.clone(), worker: args.name.clone() });
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
    let reading = tokio::spawn(read_assignments(assign));
    // On this thread, which has loaded the models.
    let working =
        AssertUnwindSafe(capfilt_workers::run(worker, assignments, |event| say(&event))).catch_unwind();
    // A stage that panicked leaves its shards unfinished, so the whole process exits.
    let worked = working.await.unwrap_or_else(|_| std::process::exit(PANICKED));
    worked.or_usage_error()?;
    reading.await.or_environment_error()??;
    Ok(Exit::Done)
}

/// Forwards the parent's assignments until the pipe is closed or the parent process has ended.
async fn read_assignments(assign: mpsc::Sender<Assignment>) -> Result<(), Failure> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) =
        lines.next_line().await.context("the parent's pipe broke").or_environment_error()?
    {
        let assignment = serde_json::from_str(&line)
            .context("the parent process sent a line that is not an assignment")
            .or_environment_error()?;
        if assign.send(assignment).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn say(event: &Event) {
    let line = serde_json::to_string(event).expect("an event is plain data");
    // An ended parent process receives no events; the commit in the bucket decides.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Ignores Ctrl-C: a terminal sends it to the whole process group, and the parent process decides.
fn ignore_terminal_interrupt() {
    tokio::spawn(async {
        if let Ok(mut interrupt) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()) {
            while interrupt.recv().await.is_some() {}
        }
    });
}
