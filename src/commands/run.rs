//! `capfilt run`: plans the job if needed, processes all shards, writes the manifest. A repeated run resumes.

use super::{cluster, worker};
use crate::{
    args::{QueueArgs, RunArgs},
    metrics, progress, settings_file,
};
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, outln, shutdown};
use capfilt_coordinator::{
    JobError, JobState, OnInputChange,
    dispatch::{Outcome, Report, cluster::CoordinatedJob, local::RetryPolicy},
    job::{self, JobRequest, Opened},
    manifest::{self, Sealed},
    metrics::SharedMetrics,
    preflight,
};
use capfilt_runtime::{
    batch_size, checkpoints,
    devices::{self, DevicePlan},
    job_setup, models,
    plan_exit::of_plan,
    worker_processes,
};
use capfilt_schemas::{
    job::JobRecord,
    manifest::Manifest,
    plan::Shard,
    settings::{Settings, Workers},
};
use capfilt_store::Location;
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;

pub async fn run(args: &RunArgs) -> Ending {
    let stop = shutdown::on_signal();
    let metrics = metrics::start(args.queue.metrics).await?;
    let settings = settings_file::load(&args.settings)?;
    let bucket = Location::open_without_links(&settings.job.url).or_usage_error()?;
    let devices = devices::of_settings(&settings.workers)?;
    let opening = async {
        preflight::require(&bucket).await.or_environment_error()?;
        open(&bucket, args, &settings, &devices).await
    };
    let Some(opened) = shutdown::unless(&stop, opening).await.transpose()? else {
        return Ok(Exit::Interrupted);
    };
    let Opened { record, plan, resumed, warnings } = opened;
    warnings.iter().for_each(|warning| console::line(format!("warning: {warning}")));
    let refused = &record.plan.refused;
    refused.iter().for_each(|file| console::line(format!("refused: {}: {}", file.path, file.reason)));
    let verb = if resumed { "resuming" } else { "planned" };
    console::line(format!(
        "{verb} {}: {} rows in {} shards",
        bucket.url, record.plan.rows, record.plan.shards
    ));
    if args.plan_only {
        console::line(
            "the job is planned; `capfilt worker` processes its shards, `capfilt run` also writes the \
             manifest",
        );
        return Ok(if refused.is_empty() { Exit::Done } else { Exit::WithQuarantine });
    }
    if args.queue.cluster.cluster.is_some() {
        of_this_machine(&settings.workers).iter().for_each(console::line);
    }

    let (warned, devices) = (&warnings[..], &devices[..]);
    let job = OpenJob { bucket: &bucket, record: &record, plan: &plan, devices, metrics, warned };
    job.finish(&args.queue, args.json, stop).await
}

/// Warning about settings of `[workers]` that the workers of a cluster do not receive.
fn of_this_machine(workers: &Workers) -> Option<String> {
    let auto = Workers::default();
    let set = [
        ("devices", "--device", workers.devices != auto.devices),
        ("model_threads", "--model-threads", workers.model_threads != auto.model_threads),
        ("decode_threads", "--decode-threads", workers.decode_threads != auto.decode_threads),
    ];
    let set = set.iter().filter(|(.., is_set)| *is_set);
    let named: Vec<String> = set.map(|(key, option, _)| format!("workers.{key} ({option})")).collect();
    (!named.is_empty()).then(|| {
        let named = named.join(", ");
        format!("warning: a cluster's workers take devices and threads from their options, not from {named}")
    })
}

/// A job with the inputs of its execution.
pub struct OpenJob<'a> {
    pub bucket: &'a Location,
    pub record: &'a JobRecord,
    pub plan: &'a [Shard],
    pub devices: &'a [DevicePlan],
    pub metrics: SharedMetrics,
    /// Warnings that were printed when the job was opened.
    pub warned: &'a [String],
}

impl OpenJob<'_> {
    /// Processes all remaining shards and writes the manifest.
    pub async fn finish(&self, args: &QueueArgs, as_json: bool, stop: watch::Receiver<bool>) -> Ending {
        let Self { bucket, record, plan, devices, ref metrics, .. } = *self;
        let mut twice = DoneTwice::default();
        let connecting = shutdown::unless(&stop, cluster::queue(&args.cluster, bucket));
        let Some(queue) = connecting.await.transpose()? else { return Ok(Exit::Interrupted) };
        let (job_state, machines) = loop {
            let outcome = match &queue {
                Some(queue) => {
                    let ack_wait = Duration::from_secs(args.ack_wait);
                    let (name, queue) = (worker_processes::process_name(), queue.clone());
                    let load_models = models::load_here;
                    let job = CoordinatedJob { name, bucket, record, plan, queue, ack_wait, load_models };
                    cluster::coordinate(job, metrics.clone(), stop.clone()).await?
                }
                None => {
                    worker::work(
                        bucket,
                        record,
                        plan,
                        devices,
                        RetryPolicy::default(),
                        metrics.clone(),
                        stop.clone(),
                    )
                    .await?
                }
            };
            let Outcome::Finished(report) = outcome else { return Ok(Exit::Interrupted) };
            twice.add(&report);
            let job_state =
                shutdown::unless(&stop, JobState::read(bucket)).await.transpose().or_environment_error()?;
            let Some(job_state) = job_state else { return Ok(Exit::Interrupted) };
            // A concurrent `capfilt retry` may have opened shards.
            if job_state.remaining(plan, record.settings.limits.attempts).next().is_none() {
                break (job_state, report.machines);
            }
        };
        if shutdown::unless(&stop, self.name_input_changes()).await.is_none() {
            return Ok(Exit::Interrupted);
        }
        let sealing = shutdown::unless(&stop, manifest::seal(bucket, record, plan, &job_state));
        let Some(sealed) = sealing.await.transpose().or_environment_error()? else {
            return Ok(Exit::Interrupted);
        };
        if let Some(queue) = &queue {
            twice.rows += cluster::end(queue, &machines, args.keep_queue).await;
        }
        conclude(&sealed, twice, as_json);
        let Manifest { quarantined, tally, refused, .. } = &sealed.manifest;
        let whole = quarantined.is_empty() && refused.is_empty() && tally.quarantined() == 0;
        Ok(if whole { Exit::Done } else { Exit::WithQuarantine })
    }
}

impl OpenJob<'_> {
    /// Lists the input once more and warns of files that changed during the job, because some stores do not
    /// report a change on reads. Committed rows were read from the planned files and stay.
    async fn name_input_changes(&self) {
        let settings = &self.record.settings;
        let changes = async {
            let input = Location::open(&settings.input.url)?;
            Ok::<_, JobError>(job::input_changes(&input, &settings.job.url, self.record, self.plan).await?)
        };
        match changes.await {
            Ok(changes) => {
                let is_known =
                    |change: &String| self.warned.iter().any(|warning| warning.starts_with(change.as_str()));
                let texts = changes.iter().map(ToString::to_string).filter(|change| !is_known(change));
                texts.for_each(|change| {
                    console::line(format!("warning: {change}, while the job was worked on"))
                });
            }
            Err(error) => {
                console::line(format!("warning: cannot check whether the input changed meanwhile: {error}"))
            }
        }
    }
}

/// Shards that idle workers copied, and wasted rows.
#[derive(Debug, Clone, Copy, Default)]
struct DoneTwice {
    shards: u64,
    rows: u64,
}

impl DoneTwice {
    fn add(&mut self, report: &Report) {
        self.shards += report.copies;
        self.rows += report.wasted_rows;
    }
}

async fn open(
    bucket: &Location,
    args: &RunArgs,
    settings: &Settings,
    devices: &[DevicePlan],
) -> Result<Opened, Failure> {
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let (captioner, filter) = checkpoints::records(settings).await?;
    // An existing job has a fixed batch size.
    let batch = match job::find(bucket).await.or_environment_error()? {
        Some(_) => settings.workers.batch.or_else(|| 1),
        None => batch_size::choose(args.settings.file(), settings, devices).await?,
    };
    let resolved = job_setup::resolve(settings, devices, batch)?;
    let on_change = if args.allow_changed { OnInputChange::SetAside } else { OnInputChange::Refuse };
    let asked = JobRequest { settings, resolved: &resolved, captioner: &captioner, filter: &filter };
    match job::open_or_create(bucket, &input, asked, on_change).await {
        Err(error @ (JobError::Differs(_) | JobError::NoJob { .. } | JobError::Occupied { .. })) => {
            Err(error).or_usage_error()
        }
        Err(JobError::Plan(error)) => of_plan(Err(error)),
        opened => opened.or_environment_error(),
    }
}

/// Prints the result; the last line is the manifest's URL.
fn conclude(sealed: &Sealed, twice: DoneTwice, as_json: bool) {
    let manifest = &sealed.manifest;
    if as_json {
        outln!(
            "{}",
            json!({
                "manifest": sealed.url, "rows": manifest.rows, "shards": manifest.shards,
                "tally": manifest.tally, "quarantined_shards": manifest.quarantined.len(),
                "refused_files": manifest.refused.len(), "copied_shards": twice.shards,
                "wasted_rows": twice.rows,
            })
        );
    } else {
        outln!("{} rows, {} pairs; {}", manifest.rows, manifest.tally.pairs, progress::kept(&manifest.tally));
        if twice.rows > 0 {
            outln!("{} wasted rows, of workers that lost their shard to another worker", twice.rows);
        }
        for file in &manifest.refused {
            outln!("refused {}: {}", file.path, file.reason);
        }
        for shard in &manifest.quarantined {
            outln!("quarantined shard {} ({} rows): {}", shard.shard, shard.rows, shard.reason);
        }
    }
    outln!("{}", sealed.url);
}
