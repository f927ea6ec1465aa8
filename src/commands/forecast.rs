//! How long a job will take on this machine's devices: a device's process works on some of the job's own rows
//! for a few seconds, in a scratch job whose results are thrown away.
//!
//! It is the very process that a job's work is done by, so fetching, decoding, models and writing are in the
//! figure as they are in a job; only the results go to this machine's disk instead of the bucket.

use crate::{
    args::PlanArgs,
    batch_size,
    devices::{self, DevicePlan},
    exit::{ExitCodeExt as _, Failure},
    job_setup, models, parent,
};
use anyhow::{Context as _, anyhow};
use capfilt_bucket::{Bucket, Place};
use capfilt_coordinator::{
    Plan,
    job::{self, JobRequest, Opened},
};
use capfilt_schemas::{
    names::AttemptId,
    pipe::{Assignment, Event},
    plan::Shard,
    settings::Settings,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

/// Shards that rows are taken from, spread evenly over the plan: inputs are often sorted by something.
const SHARDS: usize = 4;
/// Batches that are timed at least, however long they take.
const BATCHES: u64 = 3;
/// The longest silence of the device, loading its models included.
const SILENCE: Duration = Duration::from_secs(1800);

/// What a job will take, if the rest of it is like the rows that were tried.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Rows that were timed, and in how many seconds, on one device.
    pub timed_rows: u64,
    pub timed_seconds: f64,
    /// Images per model call.
    pub batch: u32,
    /// Until a device has done its first batch: weights hashed, models loaded and proven, memory and threads
    /// warm.
    pub first_seconds: f64,
    /// Rows of that batch.
    pub first_rows: u64,
    pub device: String,
    pub devices: usize,
    pub rows_per_second: f64,
    pub job_seconds: f64,
    /// Of all devices together; this is what is paid for.
    pub device_hours: f64,
    pub cost: Option<f64>,
}

impl Forecast {
    /// For machines.
    pub fn to_json(&self) -> Value {
        json!({
            "timed_rows": self.timed_rows, "timed_seconds": self.timed_seconds, "batch": self.batch,
            "first_seconds": self.first_seconds, "first_rows": self.first_rows,
            "device": self.device, "devices": self.devices, "rows_per_second": self.rows_per_second,
            "job_seconds": self.job_seconds, "device_hours": self.device_hours, "cost": self.cost,
        })
    }
}

/// Works on rows of `plan` for about `args.calibrate` seconds, on the first of this machine's devices, and
/// concludes for the job.
///
/// # Errors
/// When there are no rows, no device, or the models do not load; the device's own words are on standard
/// error.
pub async fn forecast(args: &PlanArgs, settings: &Settings, plan: Plan) -> Result<Forecast, Failure> {
    let workers = &settings.workers;
    let devices = devices::devices(&workers.devices, workers.model_threads, workers.decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).or_environment_error()?;
    let devices =
        devices::share_memory(devices, workers.memory).map_err(anyhow::Error::msg).or_usage_error()?;
    let first = devices.first().ok_or_else(|| anyhow!("workers.devices is empty")).or_usage_error()?;
    let rows = plan.rows;
    let folder = tempfile::tempdir().context("no folder for a scratch job").or_environment_error()?;
    let batch = batch_size::choose(&args.settings, settings, &devices).await?;
    // A job hashes its weights too before it starts.
    let began = Instant::now();
    let job =
        scratch_job(settings, plan, job_setup::resolve(settings, &devices, batch)?, folder.path()).await?;
    let mut child = start(&folder.path().display().to_string(), first).or_environment_error()?;
    let timed = time(&mut child, &sample(&job.plan), batch, args.calibrate).await;
    child.kill().await.context("the trial's process does not end").or_environment_error()?;
    let timed = timed.or_environment_error()?;
    let rate = devices.len() as f64 * timed.rows as f64 / timed.seconds.max(1e-3);
    let (first_rows, first_seconds) = (timed.before, (timed.from - began).as_secs_f64());
    let job_seconds = first_seconds + rows.saturating_sub(first_rows * devices.len() as u64) as f64 / rate;
    let device_hours = job_seconds * devices.len() as f64 / 3600.0;
    Ok(Forecast {
        timed_rows: timed.rows,
        timed_seconds: timed.seconds,
        batch,
        first_seconds,
        first_rows,
        device: first.device.clone(),
        devices: devices.len(),
        rows_per_second: rate,
        job_seconds,
        device_hours,
        cost: args.price_per_hour.map(|price| price * device_hours),
    })
}

/// The job as it would be, in a folder of this machine.
async fn scratch_job(
    settings: &Settings,
    plan: Plan,
    resolved: Settings,
    folder: &std::path::Path,
) -> Result<Opened, Failure> {
    if plan.shards.is_empty() {
        return Err(anyhow!("there are no rows to try")).or_usage_error();
    }
    let (captioner, filter) = models::records(settings).await?;
    let bucket = Bucket::open(&folder.display().to_string()).or_usage_error()?;
    let input = Place::open(&settings.input.url).or_usage_error()?;
    let asked = JobRequest { settings, resolved: &resolved, captioner: &captioner, filter: &filter };
    job::create(&bucket, &input, plan, asked).await.or_environment_error()
}

fn sample(plan: &[Shard]) -> Vec<&Shard> {
    let wanted = SHARDS.min(plan.len());
    (0..wanted).map(|i| &plan[(2 * i + 1) * plan.len() / (2 * wanted)]).collect()
}

fn start(job: &str, plan: &DevicePlan) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let mut command = Command::new(program);
    parent::bind(command.as_std_mut());
    command.args(["device", "--job", job, "--device", &plan.device, "--name", "forecast"]);
    command.arg(format!("--model-threads={}", plan.model_threads));
    command.arg(format!("--decode-threads={}", plan.decode_threads));
    command.arg(format!("--memory={}", plan.memory));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().context("the trial's process does not start")
}

struct Timed {
    /// When timing began, and the rows that had been done by then.
    from: Instant,
    before: u64,
    rows: u64,
    seconds: f64,
}

/// From the first batch that is done, which warmed everything up, to the first that is done after `seconds`.
async fn time(child: &mut Child, shards: &[&Shard], batch: u32, seconds: f64) -> anyhow::Result<Timed> {
    let mut input = child.stdin.take().context("the trial's process has no input")?;
    let mut lines = BufReader::new(child.stdout.take().context("the trial's process has no output")?).lines();
    for shard in shards {
        let attempt = AttemptId(format!("forecast-{}", shard.id));
        let shard = (*shard).clone();
        let work = Assignment::of(shard, attempt);
        input.write_all(format!("{}\n", serde_json::to_string(&work)?).as_bytes()).await?;
    }
    drop(input);
    let (mut ready, mut first, mut last) = (None, None, None);
    let mut done = HashMap::new();
    while let Some(line) =
        tokio::time::timeout(SILENCE, lines.next_line()).await.context("the device is silent")??
    {
        match serde_json::from_str(&line)? {
            Event::Ready { .. } => ready = Some(Instant::now()),
            Event::Progress { shard, rows, .. } => {
                done.insert(shard, rows);
                let now = (Instant::now(), done.values().sum::<u64>());
                let (from, before) = *first.get_or_insert(now);
                last = Some(now);
                if (now.0 - from).as_secs_f64() >= seconds && now.1 - before >= BATCHES * u64::from(batch) {
                    break;
                }
            }
            Event::Failed { failure } => {
                return Err(anyhow!("a shard cannot be worked on: {}", failure.message));
            }
            _ => {}
        }
    }
    let (ready, first, last) = ready
        .zip(first)
        .zip(last)
        .map(|((ready, first), last)| (ready, first, last))
        .context("the device's process ended before it had done a row")?;
    // So few rows that one batch was all: what there is counts from the moment the models were ready.
    let (from, before) = if last.1 > first.1 { first } else { (ready, 0) };
    Ok(Timed { from, before, rows: last.1 - before, seconds: (last.0 - from).as_secs_f64() })
}
