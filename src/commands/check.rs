//! `capfilt check`: checks settings, bucket, input, models and devices of a job before it starts.

use crate::{args::CheckArgs, settings_file};
use capfilt_blip::DeviceChoice;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_coordinator::job::JobRequest;
use capfilt_runtime::{
    checkpoints,
    devices::{self, DevicePlan},
    models,
    plan_exit::of_plan,
    self_test::{self, Reference},
};
use capfilt_schemas::job::{self, JobRecord, ModelRecord, PlanRecord};
use capfilt_store::{Location, PinnedObject, StoreError};
use serde_json::json;

/// Findings in the order of the checks: printed at once, or together as JSON at the end.
struct Findings {
    as_json: bool,
    all: Vec<serde_json::Value>,
}

impl Findings {
    fn add(&mut self, subject: &str, finding: &str, is_problem: bool) {
        if self.as_json {
            self.all.push(json!({"subject": subject, "finding": finding, "problem": is_problem}));
        } else {
            outln!("{subject:9} {finding}");
        }
    }

    fn conclude(self, exit: Exit) -> Exit {
        if self.as_json {
            outln!("{}", json!({"ok": exit == Exit::Done, "findings": self.all}));
        }
        exit
    }
}

pub async fn run(args: &CheckArgs) -> Ending {
    let settings = settings_file::load(&args.settings)?;
    let mut findings = Findings { as_json: args.json, all: Vec::new() };
    findings.add("settings", "sound", false);
    let bucket = Location::open_without_links(&settings.job.url).or_usage_error()?;
    let steps = capfilt_coordinator::preflight::check(&bucket).await;
    for step in &steps {
        let finding = format!("{}: {}", step.what, step.problem.as_deref().unwrap_or("works"));
        findings.add("bucket", &finding, step.problem.is_some());
    }
    if steps.iter().any(|step| step.problem.is_some()) {
        return Ok(findings.conclude(Exit::Environment));
    }
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let plan = of_plan(capfilt_coordinator::plan(&input, &settings).await)?;
    let counts = format!("{} files, {} shards, {} rows", plan.files, plan.shards.len(), plan.rows);
    findings.add("input", &counts, false);
    if let Some(shard) = plan.shards.first() {
        findings.add(
            "input",
            if_match(PinnedObject::new(&input, &shard.file)).await.or_environment_error()?,
            false,
        );
    }
    plan.refused
        .iter()
        .for_each(|file| findings.add("refused", &format!("{}: {}", file.path, file.reason), true));
    let workers = &settings.workers;
    let devices = devices::devices(&workers.devices, workers.model_threads, workers.decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).or_environment_error()?;
    let (captioner, filter) = checkpoints::records(&settings).await?;
    findings.add("captioner", &files_of(&captioner), false);
    findings.add("filter", &files_of(&filter), false);
    let asked =
        JobRequest { settings: &settings, resolved: &settings, captioner: &captioner, filter: &filter };
    let job = as_job(asked);
    let known = match args.write_known_answers {
        true => self_test::of_checkpoints(&job).await?,
        false => self_test::of_job_to_be(&bucket, &job).await?,
    };
    findings.add("answers", &format!("known from {}", known.source), false);
    let is_right = devices_are_right(&devices, &job, &known, &mut findings).await?;
    Ok(findings.conclude(match (is_right, plan.refused.is_empty()) {
        (false, _) => Exit::Environment,
        (true, false) => Exit::WithQuarantine,
        (true, true) => Exit::Done,
    }))
}

/// Tests whether the input's store honours a condition on reads, by which a job notices replaced files.
async fn if_match(object: PinnedObject) -> Result<&'static str, StoreError> {
    Ok(match object.heeds_if_match().await? {
        Some(true) => "If-Match: honoured",
        Some(false) => "If-Match: ignored by this store; the ETag of every answer is compared instead",
        None => "If-Match: no ETags in this store; a replaced file is noticed by its size only",
    })
}

/// Loads the models onto each device and runs the self-test.
async fn devices_are_right(
    devices: &[DevicePlan],
    job: &JobRecord,
    known: &Reference,
    findings: &mut Findings,
) -> Result<bool, Failure> {
    let mut are_right = true;
    for device in devices {
        let choice: DeviceChoice = device.device.parse().map_err(anyhow::Error::msg).or_usage_error()?;
        let mut capfilt = models::load(job, choice).await?;
        let (captioner, filter) = capfilt.image_sides();
        let batch = capfilt.batch();
        let found = format!("{}: captioner {captioner} px, filter {filter} px, batch {batch}", device.device);
        findings.add("device", &found, false);
        let precision = models::resolve(job.settings.models.precision, choice);
        let precision = precision.map_err(anyhow::Error::msg).or_environment_error()?;
        let proof = self_test::prove(&mut capfilt, known, precision);
        let answers = proof.as_ref().map_or_else(|failure| format!("{:#}", failure.error), Clone::clone);
        findings.add("answers", &format!("{}: {answers}", device.device), proof.is_err());
        are_right &= proof.is_ok();
    }
    Ok(are_right)
}

/// Names of the files of a checkpoint that are read, and their digest.
fn files_of(record: &ModelRecord) -> String {
    let names: Vec<&str> = record.files.iter().map(|file| file.name.as_str()).collect();
    format!("{} (sha256 {})", names.join(", "), &record.digest()[..12])
}

/// Makes the record of the job, without a plan.
fn as_job(asked: JobRequest) -> JobRecord {
    let plan = PlanRecord {
        path: String::new(),
        sha256: String::new(),
        shards: 0,
        rows: 0,
        refused: vec![],
        without_rows: vec![],
    };
    JobRecord {
        version: job::VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        settings: asked.settings.clone(),
        captioner: asked.captioner.clone(),
        filter: asked.filter.clone(),
        plan,
    }
}
