//! Checks of settings, bucket, input, models and devices of a job before it starts.

use crate::{
    checkpoints,
    devices::{self, DevicePlan},
    endpoint, models,
    plan_exit::of_plan,
    self_test::{self, Reference},
};
use capfilt_blip::DeviceChoice;
use capfilt_console::{Exit, ExitCodeExt as _, Failure};
use capfilt_coordinator::{Plan, preflight};
use capfilt_schemas::{
    job::{self, JobRecord, ModelRecord, PlanRecord},
    settings::Settings,
};
use capfilt_store::{Location, PinnedObject, StoreError};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The checked object.
    pub subject: &'static str,
    /// Sentence for people.
    pub text: String,
    /// Whether the job cannot run, or not with all of its input.
    pub is_problem: bool,
}

impl Finding {
    fn new(subject: &'static str, text: String, is_problem: bool) -> Self {
        Self { subject, text, is_problem }
    }

    fn sound(subject: &'static str, text: String) -> Self {
        Self::new(subject, text, false)
    }
}

/// Checks everything that a job with these settings needs; `add` receives the findings in the order of the
/// checks. `write_known_answers`: also writes the self-test beside the captioner's checkpoint.
///
/// # Errors
/// A check that cannot be made: a failing store, models that do not load.
pub async fn check(
    settings: &Settings,
    write_known_answers: bool,
    add: &mut impl FnMut(Finding),
) -> Result<Exit, Failure> {
    add(Finding::sound("settings", "sound".to_owned()));
    let bucket = Location::open_without_links(&settings.job.url).or_usage_error()?;
    if !is_bucket_fit(&bucket, add).await {
        return Ok(Exit::Environment);
    }
    let plan = check_input(settings, add).await?;
    let workers = &settings.workers;
    let devices = devices::devices(&workers.devices, workers.model_threads, workers.decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).or_environment_error()?;
    let [captioner, filter, clip] = checkpoints::records(settings).await?;
    add(Finding::sound("captioner", origin_of_captions(settings, &captioner).await?));
    add(Finding::sound("filter", files_of(&filter)));
    if !clip.is_none() {
        add(Finding::sound("clip", files_of(&clip)));
    }
    let job = without_plan(settings, [captioner, filter, clip]);
    let known = match write_known_answers {
        true => self_test::of_checkpoints(&job).await?,
        false => self_test::of_job_to_be(&bucket, &job).await?,
    };
    add(Finding::sound("answers", format!("known from {}", known.source)));
    let is_right = devices_are_right(&devices, &job, &known, add).await?;
    Ok(match (is_right, plan.refused.is_empty()) {
        (false, _) => Exit::Environment,
        (true, false) => Exit::WithQuarantine,
        (true, true) => Exit::Done,
    })
}

/// The captioner's checkpoint, or the endpoint, which must answer.
async fn origin_of_captions(settings: &Settings, captioner: &ModelRecord) -> Result<String, Failure> {
    let model = settings.captioner.model.as_deref().unwrap_or_default();
    match (endpoint::check(settings).await?, captioner.is_none()) {
        (Some(endpoint), _) => Ok(format!("{endpoint} answers; model {model}")),
        (None, true) => Ok("no captioner: the filter judges the texts of the input".to_owned()),
        (None, false) => Ok(files_of(captioner)),
    }
}

/// Tests the operations of a bucket that the commit protocol needs.
async fn is_bucket_fit(bucket: &Location, add: &mut impl FnMut(Finding)) -> bool {
    let mut is_fit = true;
    for step in preflight::check(bucket).await {
        is_fit &= step.problem.is_none();
        let text = format!("{}: {}", step.what, step.problem.as_deref().unwrap_or("works"));
        add(Finding::new("bucket", text, step.problem.is_some()));
    }
    is_fit
}

async fn check_input(settings: &Settings, add: &mut impl FnMut(Finding)) -> Result<Plan, Failure> {
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let plan = of_plan(capfilt_coordinator::plan(&input, settings).await)?;
    let about = if plan.rows_exact { "" } else { "about " };
    let counts = format!("{} files, {} shards, {about}{} rows", plan.files, plan.shards.len(), plan.rows);
    add(Finding::sound("input", counts));
    if let Some(shard) = plan.shards.first() {
        let honoured = if_match(PinnedObject::new(&input, &shard.file)).await.or_environment_error()?;
        add(Finding::sound("input", honoured.to_owned()));
    }
    let refused = plan.refused.iter().map(|file| format!("{}: {}", file.path, file.reason));
    refused.for_each(|text| add(Finding::new("refused", text, true)));
    Ok(plan)
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
    add: &mut impl FnMut(Finding),
) -> Result<bool, Failure> {
    let mut are_right = true;
    for device in devices {
        let choice: DeviceChoice = device.device.parse().map_err(anyhow::Error::msg).or_usage_error()?;
        let mut capfilt = models::load(job, choice).await?;
        let (captioner, filter) = capfilt.image_sides();
        let batch = capfilt.batch();
        let captioner =
            if job.captioner.is_none() { String::new() } else { format!("captioner {captioner} px, ") };
        let clip = capfilt.clip_square().map(|clip| format!(", CLIP {} px", clip.side)).unwrap_or_default();
        let found = format!("{}: {captioner}filter {filter} px{clip}, batch {batch}", device.device);
        add(Finding::sound("device", found));
        let precision = models::resolve(job.settings.models.precision, choice);
        let precision = precision.map_err(anyhow::Error::msg).or_environment_error()?;
        let proof = self_test::prove(&mut capfilt, known, precision);
        let answers = proof.as_ref().map_or_else(|failure| format!("{:#}", failure.error), Clone::clone);
        add(Finding::new("answers", format!("{}: {answers}", device.device), proof.is_err()));
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
fn without_plan(settings: &Settings, [captioner, filter, clip]: [ModelRecord; 3]) -> JobRecord {
    let plan = PlanRecord {
        path: String::new(),
        sha256: String::new(),
        shards: 0,
        rows: 0,
        refused: vec![],
        without_rows: vec![],
    };
    let (version, program) = (job::VERSION, env!("CARGO_PKG_VERSION").to_owned());
    JobRecord { version, program, settings: settings.clone(), captioner, filter, clip, plan }
}
