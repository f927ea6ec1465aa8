//! Estimate of a job's duration on this machine's devices: a worker process processes some rows of the job
//! for a few seconds, in a scratch job whose results are deleted.
//!
//! The trial runs the worker process of a job, so the estimate includes fetching, decoding, models and
//! writing. The only difference: the results go to this machine's disk instead of the bucket.

use crate::{
    batch_size::{self, SettingsFile},
    checkpoints,
    devices::{self, DevicePlan},
    job_setup, worker_processes,
};
use anyhow::{Context as _, anyhow};
use capfilt_console::{self as console, ExitCodeExt as _, Failure, FormattedDuration};
use capfilt_coordinator::{
    Plan,
    dispatch::{single_worker::SingleWorker, worker_process::WorkerMessage},
    job::{self, JobRequest, Opened},
};
use capfilt_schemas::{
    object_keys::AttemptId,
    plan::{Shard, ShardId},
    settings::Settings,
    worker_protocol::{Assignment, Event},
};
use capfilt_store::Location;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Number of shards in the trial, spread evenly over the plan, because inputs are often sorted.
const SHARDS: usize = 4;
/// Least number of timed batches, regardless of their duration.
const BATCHES: u64 = 3;
/// Limit between two messages of the worker process, including the time to load its models.
const SILENCE: Duration = Duration::from_secs(1800);

/// Length and price of a trial.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Least seconds to measure.
    pub seconds: f64,
    /// Price of an hour of one device.
    pub price_per_hour: Option<f64>,
}

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
    /// The device of the trial.
    pub device: String,
    /// Number of devices of this machine.
    pub devices: usize,
    /// Speed of all devices together.
    pub rows_per_second: f64,
    /// Duration of the job.
    pub job_seconds: f64,
    /// Sum over all devices, which is the basis of the cost.
    pub device_hours: f64,
    /// Price of an hour of one device.
    pub price_per_hour: Option<f64>,
    /// Cost in the currency of the price; `None` without a price.
    pub cost: Option<f64>,
}

impl Forecast {
    /// The forecast as lines for people.
    pub fn lines(&self) -> Vec<String> {
        let Self { devices, device, rows_per_second, timed_rows, timed_seconds, device_hours, .. } = self;
        let duration = FormattedDuration(Duration::from_secs_f64(self.job_seconds));
        let mut lines = vec![
            format!("devices {devices} ({device}), {} images per model call", self.batch),
            format!(
                "speed   {rows_per_second:.1} rows/s, measured with {timed_rows} rows in {timed_seconds:.1} s"
            ),
            format!("time    {duration}"),
            format!(
                "device-hours {device_hours:.3}; {:.2} per million images",
                self.device_hours_per_million()
            ),
        ];
        let cost = self.cost.zip(self.cost_per_million());
        lines.extend(
            cost.map(|(cost, million)| format!("cost    {cost:.2}; {million:.2} per million images")),
        );
        lines
    }

    /// Device-hours of a million rows at the measured speed, without the start of the devices.
    pub fn device_hours_per_million(&self) -> f64 {
        self.devices as f64 * 1e6 / self.rows_per_second.max(f64::MIN_POSITIVE) / 3600.0
    }

    /// Cost of a million rows; `None` without a price.
    pub fn cost_per_million(&self) -> Option<f64> {
        self.price_per_hour.map(|price| price * self.device_hours_per_million())
    }

    /// JSON object of `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "timed_rows": self.timed_rows, "timed_seconds": self.timed_seconds, "batch": self.batch,
            "first_seconds": self.first_seconds, "first_rows": self.first_rows,
            "device": self.device, "devices": self.devices, "rows_per_second": self.rows_per_second,
            "job_seconds": self.job_seconds, "device_hours": self.device_hours, "cost": self.cost,
            "device_hours_per_million": self.device_hours_per_million(),
            "cost_per_million": self.cost_per_million(),
        })
    }

    /// Extrapolates from the trial of one device to a job of `rows` rows. `before`: seconds from the begin of
    /// the job to the begin of the timing.
    fn of(timed: &Timed, before: f64, rows: u64, batch: u32, devices: &[DevicePlan], trial: Trial) -> Self {
        let count = devices.len();
        let rate = count as f64 * timed.rows as f64 / timed.seconds.max(1e-3);
        let job_seconds = before + rows.saturating_sub(timed.before * count as u64) as f64 / rate;
        let device_hours = job_seconds * count as f64 / 3600.0;
        Self {
            timed_rows: timed.rows,
            timed_seconds: timed.seconds,
            batch,
            first_seconds: before,
            first_rows: timed.before,
            device: devices[0].device.clone(),
            devices: count,
            rows_per_second: rate,
            job_seconds,
            device_hours,
            price_per_hour: trial.price_per_hour,
            cost: trial.price_per_hour.map(|price| price * device_hours),
        }
    }
}

/// Processes rows of `plan` for about `trial.seconds` on the first device of this machine, and extrapolates
/// to the job.
///
/// # Errors
/// When there are no rows, no device, or the models do not load; the worker process writes the reason to
/// standard error.
pub async fn forecast(
    file: SettingsFile<'_>,
    settings: &Settings,
    plan: Plan,
    trial: Trial,
) -> Result<Forecast, Failure> {
    let devices = devices::of_settings(&settings.workers)?;
    let first = devices.first().ok_or_else(|| anyhow!("workers.devices is empty")).or_usage_error()?;
    let rows = plan.rows;
    let folder =
        tempfile::tempdir().context("cannot create a folder for the trial").or_environment_error()?;
    let batch = batch_size::choose(file, settings, &devices).await?;
    // The clock starts here, because a job also hashes its weights before it starts.
    let began = Instant::now();
    let job =
        scratch_job(settings, plan, job_setup::resolve(settings, &devices, batch)?, folder.path()).await?;
    let mut worker = start(&folder.path().display().to_string(), first, &job.plan).or_environment_error()?;
    let timed = time(&mut worker, batch, trial.seconds).await;
    // The folder is deleted after the end of the process.
    worker.end().await;
    let timed = timed.or_environment_error()?;
    Ok(Forecast::of(&timed, (timed.from - began).as_secs_f64(), rows, batch, &devices, trial))
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
    let [captioner, filter, clip] = checkpoints::records(settings).await?;
    let bucket = Location::open_without_links(&folder.display().to_string()).or_usage_error()?;
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let (captioner, filter, clip) = (&captioner, &filter, &clip);
    let asked = JobRequest { settings, resolved: &resolved, captioner, filter, clip };
    job::create(&bucket, &input, plan, asked).await.or_environment_error()
}

fn sample(plan: &[Shard]) -> impl Iterator<Item = &Shard> {
    let wanted = SHARDS.min(plan.len());
    (0..wanted).map(move |i| &plan[(2 * i + 1) * plan.len() / (2 * wanted)])
}

fn start(job: &str, device: &DevicePlan, plan: &[Shard]) -> anyhow::Result<SingleWorker> {
    let command = worker_processes::command(&console::own_program()?, job, device, "forecast");
    let assigned = |shard: &Shard| {
        let attempt = AttemptId(format!("forecast-{}", shard.id));
        Assignment::of(shard.clone(), attempt)
    };
    SingleWorker::start(command, sample(plan).map(assigned)).context("cannot start the process of the trial")
}

/// Result of a trial.
struct Timed {
    /// Start of the timing, and the rows that were done before.
    from: Instant,
    before: u64,
    rows: u64,
    seconds: f64,
}

/// Progress of a trial.
#[derive(Default)]
struct Clock {
    /// End of the loading of the models.
    ready: Option<Instant>,
    /// End of the first batch and of the last one, each with the rows that were done.
    first: Option<(Instant, u64)>,
    last: Option<(Instant, u64)>,
    done: HashMap<ShardId, u64>,
}

impl Clock {
    /// Takes the time of an event. Returns whether the trial is long enough.
    fn note(&mut self, event: Event, batch: u32, seconds: f64) -> anyhow::Result<bool> {
        match event {
            Event::Ready { .. } => self.ready = Some(Instant::now()),
            Event::Progress { shard, rows, .. } => {
                self.done.insert(shard, rows);
                let now = (Instant::now(), self.done.values().sum::<u64>());
                let (from, before) = *self.first.get_or_insert(now);
                self.last = Some(now);
                let is_long = (now.0 - from).as_secs_f64() >= seconds;
                return Ok(is_long && now.1 - before >= BATCHES * u64::from(batch));
            }
            Event::Failed { failure } => {
                return Err(anyhow!("a shard of the trial failed: {}", failure.message));
            }
            _ => {}
        }
        Ok(false)
    }

    /// Result; `None` if no batch is done.
    fn timed(self) -> Option<Timed> {
        let (ready, first, last) = (self.ready?, self.first?, self.last?);
        // With one batch only, the timing starts when the models are ready.
        let (from, before) = if last.1 > first.1 { first } else { (ready, 0) };
        Some(Timed { from, before, rows: last.1 - before, seconds: (last.0 - from).as_secs_f64() })
    }
}

/// Times the rows from the end of the first batch, which is the warm-up, to the first end of a batch after
/// `seconds`.
async fn time(worker: &mut SingleWorker, batch: u32, seconds: f64) -> anyhow::Result<Timed> {
    let mut clock = Clock::default();
    while let Some(message) = tokio::time::timeout(SILENCE, worker.next())
        .await
        .context("the worker process reported nothing for 30 min")?
    {
        match message {
            WorkerMessage::Event(event) => {
                if clock.note(event, batch, seconds)? {
                    break;
                }
            }
            WorkerMessage::Line(line) => console::relay(&line),
            WorkerMessage::Exited(_) => {}
        }
    }
    clock.timed().context("the worker process ended before its first row was done")
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::tally::Tally;

    fn devices(count: usize) -> Vec<DevicePlan> {
        let plan =
            DevicePlan { device: "cpu".to_owned(), model_threads: 1, decode_threads: 1, memory: 1 << 30 };
        vec![plan; count]
    }

    #[test]
    fn the_rows_after_the_first_batches_are_extrapolated_over_all_devices() {
        let timed = Timed { from: Instant::now(), before: 50, rows: 100, seconds: 10.0 };
        let trial = Trial { seconds: 10.0, price_per_hour: Some(3.0) };
        let forecast = Forecast::of(&timed, 20.0, 1100, 25, &devices(2), trial);
        // 1,000 rows are left after one first batch per device, at 20 rows per second.
        assert_eq!((forecast.rows_per_second, forecast.job_seconds), (20.0, 20.0 + 50.0));
        assert_eq!(forecast.device_hours, 2.0 * 70.0 / 3600.0);
        assert_eq!(forecast.cost, Some(3.0 * forecast.device_hours));
        // A million rows take 50,000 seconds of both devices.
        assert_eq!(forecast.device_hours_per_million(), 2.0 * 50_000.0 / 3600.0);
        assert_eq!(forecast.cost_per_million(), Some(3.0 * forecast.device_hours_per_million()));
    }

    #[test]
    fn the_warm_up_is_not_timed_unless_it_is_the_only_batch() {
        let shard = ShardId::of("a.parquet", "etag", 0..1);
        let progress = |rows| Event::Progress { shard: shard.clone(), rows, tally: Tally::default() };
        let ready = || Event::Ready { device: "cpu".to_owned(), worker: String::new() };
        let timed = |rows: &[u64]| {
            let mut clock = Clock::default();
            clock.note(ready(), 8, 1000.0).expect("no failure");
            let is_long = |rows: &u64| clock.note(progress(*rows), 8, 1000.0).expect("no failure");
            assert!(!rows.iter().any(is_long), "1,000 seconds are not over");
            clock.timed().map(|timed| (timed.before, timed.rows))
        };
        assert_eq!(timed(&[]), None, "no row is done");
        assert_eq!(timed(&[8]), Some((0, 8)));
        assert_eq!(timed(&[8, 16, 24]), Some((8, 16)));
    }

    #[test]
    fn a_trial_has_at_least_three_batches() {
        let shard = ShardId::of("a.parquet", "etag", 0..1);
        let mut clock = Clock::default();
        let mut is_long = |rows| {
            let event = Event::Progress { shard: shard.clone(), rows, tally: Tally::default() };
            clock.note(event, 8, 0.0).expect("no failure")
        };
        assert_eq!([8, 16, 24, 32].map(&mut is_long), [false, false, false, true]);
    }
}
