//! Estimate of a job's duration on this machine's devices: a worker process processes some rows of the job
//! for a few seconds, in a scratch job whose results are deleted.
//!
//! The trial runs the worker process of a job, so the estimate includes fetching, decoding, models and
//! writing. The only difference: the results go to this machine's disk instead of the bucket.

use crate::{
    args::PlanArgs,
    batch_size,
    devices::{self, DevicePlan},
    job_setup, models,
};
use anyhow::{Context as _, anyhow};
use capfilt_console::{ExitCodeExt as _, Failure, parent};
use capfilt_coordinator::{
    Plan,
    job::{self, JobRequest, Opened},
};
use capfilt_schemas::{
    object_keys::AttemptId,
    plan::Shard,
    settings::Settings,
    worker_protocol::{Assignment, Event},
};
use capfilt_store::Location;
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

/// Number of shards in the trial, spread evenly over the plan, because inputs are often sorted.
const SHARDS: usize = 4;
/// Least number of timed batches, regardless of their duration.
const BATCHES: u64 = 3;
/// Limit between two events of the worker process, including the time to load its models.
const SILENCE: Duration = Duration::from_secs(1800);

/// Duration and cost of a job, extrapolated from the rows of the trial.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Rows of the timed batches, on one device.
    pub timed_rows: u64,
    /// Seconds of the timed batches.
    pub timed_seconds: f64,
    /// Images per model call.
    pub batch: u32,
    /// Seconds until the end of a device's first batch: hashing of weights, loading of models, self-test,
    /// first use of memory and threads.
    pub first_seconds: f64,
    /// Rows of the first batch.
    pub first_rows: u64,
    pub device: String,
    pub devices: usize,
    pub rows_per_second: f64,
    pub job_seconds: f64,
    /// Sum over all devices, which is the basis of the cost.
    pub device_hours: f64,
    pub cost: Option<f64>,
}

impl Forecast {
    /// JSON object of `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "timed_rows": self.timed_rows, "timed_seconds": self.timed_seconds, "batch": self.batch,
            "first_seconds": self.first_seconds, "first_rows": self.first_rows,
            "device": self.device, "devices": self.devices, "rows_per_second": self.rows_per_second,
            "job_seconds": self.job_seconds, "device_hours": self.device_hours, "cost": self.cost,
        })
    }
}

/// Processes rows of `plan` for about `args.calibrate` seconds on the first device of this machine, and
/// extrapolates to the job.
///
/// # Errors
/// When there are no rows, no device, or the models do not load; the worker process writes the reason to
/// standard error.
pub async fn forecast(args: &PlanArgs, settings: &Settings, plan: Plan) -> Result<Forecast, Failure> {
    let workers = &settings.workers;
    let devices = devices::devices(&workers.devices, workers.model_threads, workers.decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).or_environment_error()?;
    let devices =
        devices::share_memory(devices, workers.memory).map_err(anyhow::Error::msg).or_usage_error()?;
    let first = devices.first().ok_or_else(|| anyhow!("workers.devices is empty")).or_usage_error()?;
    let rows = plan.rows;
    let folder =
        tempfile::tempdir().context("cannot create a folder for the trial").or_environment_error()?;
    let batch = batch_size::choose(&args.settings, settings, &devices).await?;
    // The clock starts here, because a job also hashes its weights before it starts.
    let began = Instant::now();
    let job =
        scratch_job(settings, plan, job_setup::resolve(settings, &devices, batch)?, folder.path()).await?;
    let mut child = start(&folder.path().display().to_string(), first).or_environment_error()?;
    let timed = time(&mut child, &sample(&job.plan), batch, args.calibrate).await;
    child.kill().await.context("cannot end the process of the trial").or_environment_error()?;
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

/// Creates the scratch job in a local folder.
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
    let bucket = Location::open_without_links(&folder.display().to_string()).or_usage_error()?;
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let asked = JobRequest { settings, resolved: &resolved, captioner: &captioner, filter: &filter };
    job::create(&bucket, &input, plan, asked).await.or_environment_error()
}

fn sample(plan: &[Shard]) -> Vec<&Shard> {
    let wanted = SHARDS.min(plan.len());
    (0..wanted).map(|i| &plan[(2 * i + 1) * plan.len() / (2 * wanted)]).collect()
}

fn start(job: &str, plan: &DevicePlan) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find the executable of this program")?;
    let mut command = Command::new(program);
    parent::bind(command.as_std_mut());
    command.args(["device", "--job", job, "--device", &plan.device, "--name", "forecast"]);
    command.arg(format!("--model-threads={}", plan.model_threads));
    command.arg(format!("--decode-threads={}", plan.decode_threads));
    command.arg(format!("--memory={}", plan.memory));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().context("cannot start the process of the trial")
}

struct Timed {
    /// Start of the timing, and the rows that were done before.
    from: Instant,
    before: u64,
    rows: u64,
    seconds: f64,
}

/// Times the rows from the end of the first batch, which is the warm-up, to the first end of a batch after
/// `seconds`.
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
    while let Some(line) = tokio::time::timeout(SILENCE, lines.next_line())
        .await
        .context("the worker process reported nothing for 30 min")??
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
                return Err(anyhow!("a shard of the trial failed: {}", failure.message));
            }
            _ => {}
        }
    }
    let (ready, first, last) = ready
        .zip(first)
        .zip(last)
        .map(|((ready, first), last)| (ready, first, last))
        .context("the worker process ended before its first row was done")?;
    // With one batch only, the timing starts when the models are ready.
    let (from, before) = if last.1 > first.1 { first } else { (ready, 0) };
    Ok(Timed { from, before, rows: last.1 - before, seconds: (last.0 - from).as_secs_f64() })
}
