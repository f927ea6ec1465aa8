//! Opening a job: the first run writes `job.json`, every later run must match it.

pub use crate::state::job_record::{digest, find, find_with_digest};
use crate::{
    plan::{InputChange, Plan, PlanError, input, integrity, plan, table},
    state::{OnInputChange, input_changes},
};
use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError, Creation, Place, without_secrets};
use capfilt_schemas::{
    hash::sha256_hex,
    job::{self, JobDigest, JobRecord, ModelRecord, PlanRecord},
    names,
    plan::{InputFile, Shard},
    settings::Settings,
};
use futures::TryStreamExt as _;

/// What a run wants the job to be.
#[derive(Debug, Clone, Copy)]
pub struct JobRequest<'a> {
    /// As the user wrote them: `auto` agrees with whatever is frozen.
    pub settings: &'a Settings,
    /// The same with every `auto` that can change a result (`workers.batch`, `models.precision`) replaced by
    /// what this machine takes; a new job is frozen with these.
    pub resolved: &'a Settings,
    pub captioner: &'a ModelRecord,
    pub filter: &'a ModelRecord,
}

/// A job that is ready to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    pub record: JobRecord,
    pub plan: Vec<Shard>,
    /// Whether the job was there before.
    pub resumed: bool,
    /// What the user should know; nothing here stops a job.
    pub warnings: Vec<String>,
}

/// Why a job could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(
        "this is not the job that was started at this URL:\n  {}\nput these back, or start a new job (another job.url); \
         `run --allow-changed` goes on without input files that changed", .0.join("\n  ")
    )]
    Differs(Vec<String>),
    #[error(
        "the weights are not those the job was started with:\n  {}\nput these back, or start a new job (another job.url)",
        .0.join("\n  ")
    )]
    OtherWeights(Vec<String>),
    #[error("{url}: there is no job (no job.json); is the URL right?")]
    NoJob { url: String },
    #[error(
        "{url}: there is no job.json, but there are results of a job ({object}), and a new job must not take them for its \
         own: put that job's job.json back to go on with it, or move everything away from here, or take another job.url"
    )]
    Occupied { url: String, object: String },
    #[error("{object}: {why}; restore it from a copy, or start a new job (another job.url)")]
    Damaged { object: String, why: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// What to tell the user when another release planned the job; a record of another *format* is refused when
/// it is read.
pub fn other_release(record: &JobRecord) -> Option<String> {
    let (planned_by, this) = (&record.program, env!("CARGO_PKG_VERSION"));
    let told = || {
        format!(
            "the job was planned by capfilt {planned_by}, this is {this}; captions may differ between releases"
        )
    };
    (planned_by != this).then(told)
}

/// The record and the plan of a job that must be there. The plan is checked against the record's digest.
pub async fn load(bucket: &Bucket) -> Result<(JobRecord, Vec<Shard>), JobError> {
    let record =
        find(bucket).await?.ok_or_else(|| JobError::NoJob { url: without_secrets(&bucket.place.url) })?;
    let plan = load_plan(bucket, &record).await?;
    Ok((record, plan))
}

/// Resumes the job at this place, or plans and creates it.
///
/// Resuming lists the input and compares states; it opens no input file. Two runs that start a job at once
/// are harmless: one creates it, the other resumes it.
///
/// # Errors
/// [`JobError::Differs`] names every difference between the job that is there and what is asked for.
pub async fn open_or_create(
    bucket: &Bucket,
    input: &Place,
    asked: JobRequest<'_>,
    on_change: OnInputChange,
) -> Result<Opened, JobError> {
    if let Some(found) = find_with_digest(bucket).await? {
        return resume(bucket, input, found, asked, on_change).await;
    }
    let plan = plan(input, asked.resolved).await?;
    create(bucket, input, plan, asked).await
}

/// Writes the plan, then creates `job.json`: a job that is there has its plan.
///
/// # Errors
/// [`JobError::Occupied`] where another job has left results; and as [`open_or_create`].
pub async fn create(
    bucket: &Bucket,
    input: &Place,
    plan: Plan,
    asked: JobRequest<'_>,
) -> Result<Opened, JobError> {
    if let Some(object) = first_result(bucket).await? {
        // Another run may have created the job, and its workers begun, since this one looked for it.
        let Some(found) = find_with_digest(bucket).await? else {
            return Err(JobError::Occupied { url: without_secrets(&bucket.place.url), object });
        };
        return resume(bucket, input, found, asked, OnInputChange::Refuse).await;
    }
    let table = table::encode(&plan.shards);
    let sha256 = sha256_hex(&table);
    let path = names::plan(&sha256);
    bucket.write(&path, table).await?;
    let record = JobRecord {
        version: job::VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        settings: JobRecord::frozen(asked.resolved),
        captioner: asked.captioner.clone(),
        filter: asked.filter.clone(),
        plan: PlanRecord {
            path,
            sha256,
            shards: plan.shards.len() as u64,
            rows: plan.rows,
            refused: plan.refused,
            without_rows: plan.without_rows,
        },
    };
    let bytes = serde_json::to_vec_pretty(&record).expect("a job record is plain data");
    match bucket.create(names::JOB, Bytes::from(bytes)).await? {
        Creation::Created => {
            Ok(Opened { record, plan: plan.shards, resumed: false, warnings: plan.warnings })
        }
        Creation::Exists(found) => {
            let found = (bucket.parse_record(names::JOB, &found)?, JobDigest::of(&found));
            resume(bucket, input, found, asked, OnInputChange::Refuse).await
        }
    }
}

/// An object that only a job leaves, if there is one. Plans do not count: a planner that died left one, and
/// its name says what it holds.
async fn first_result(bucket: &Bucket) -> Result<Option<String>, BucketError> {
    for folder in [names::COMMITS, names::ATTEMPTS, names::FAILURES, names::RETRIES, names::MANIFESTS] {
        let mut listed = bucket.list(folder);
        while let Some((name, meta)) = listed.try_next().await? {
            // Some tools leave empty objects named like folders.
            if meta.size > 0 {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

async fn resume(
    bucket: &Bucket,
    input: &Place,
    (record, job): (JobRecord, JobDigest),
    asked: JobRequest<'_>,
    on_change: OnInputChange,
) -> Result<Opened, JobError> {
    let plan = load_plan(bucket, &record).await?;
    let mut differences = record.differences(asked.settings);
    // Files of another input would all be "added"; the changed setting says it better.
    let is_other_input = differences.iter().any(|difference| difference.starts_with("input.url:"));
    let weights = weights_differences(&record, asked.captioner, asked.filter);
    if differences.is_empty() && !weights.is_empty() {
        return Err(JobError::OtherWeights(weights));
    }
    differences.extend(weights);
    let changes = if is_other_input {
        vec![]
    } else {
        input_changes(input, &asked.settings.job.url, &record, &plan).await?
    };
    if on_change == OnInputChange::Refuse {
        differences.extend(changes.iter().map(ToString::to_string));
    }
    if !differences.is_empty() {
        return Err(JobError::Differs(differences));
    }
    let mut warnings = input_changes::set_open_shards_aside(bucket, (&record, &job), &plan, &changes).await?;
    warnings.extend(other_release(&record));
    Ok(Opened { record, plan, resumed: true, warnings })
}

/// How the input differs from what the job was planned with.
///
/// # Errors
/// When it cannot be listed.
pub async fn input_changes(
    input: &Place,
    job_url: &str,
    record: &JobRecord,
    plan: &[Shard],
) -> Result<Vec<InputChange>, PlanError> {
    let now = match input::list(input, job_url).await {
        // An input without any file is one whose files were all removed.
        Err(PlanError::NoFiles { .. }) => Vec::new(),
        now => now?,
    };
    Ok(input::changes(&planned_files(record, plan), &now))
}

/// Every input file the job was planned with: with shards, without rows, refused.
pub fn planned_files(record: &JobRecord, plan: &[Shard]) -> Vec<InputFile> {
    let mut files: Vec<InputFile> =
        plan.chunk_by(|a, b| a.file == b.file).map(|shards| InputFile::clone(&shards[0].file)).collect();
    files.extend(record.plan.without_rows.iter().cloned());
    files.extend(record.plan.refused.iter().map(|refused| InputFile {
        path: refused.path.clone(),
        etag: refused.etag.clone(),
        bytes: refused.bytes,
    }));
    files
}

async fn load_plan(bucket: &Bucket, record: &JobRecord) -> Result<Vec<Shard>, JobError> {
    let object = bucket.place.url_of(&record.plan.path);
    let damaged = |why: String| JobError::Damaged { object: object.clone(), why };
    let bytes = match bucket.read_if_there(&record.plan.path).await? {
        Some(bytes) => bytes,
        None => return Err(damaged("the job's plan is gone".to_owned())),
    };
    if sha256_hex(&bytes) != record.plan.sha256 {
        return Err(damaged("the plan is not the one job.json was written for".to_owned()));
    }
    let plan = table::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    match integrity::fault(&plan, &record.plan) {
        Some(why) => Err(damaged(why)),
        None => Ok(plan),
    }
}

/// How checkpoints differ from those a job is frozen with, each as a sentence.
pub(crate) fn weights_differences(
    record: &JobRecord,
    captioner: &ModelRecord,
    filter: &ModelRecord,
) -> Vec<String> {
    let captioner = model_difference("captioner", &record.captioner, captioner);
    captioner.into_iter().chain(model_difference("filter", &record.filter, filter)).collect()
}

fn model_difference(role: &str, frozen: &ModelRecord, asked: &ModelRecord) -> Option<String> {
    let asked = &asked.as_recorded_in(frozen);
    let (frozen_digest, asked_digest) = (frozen.digest(), asked.digest());
    if frozen_digest == asked_digest {
        return None;
    }
    let differing = frozen.files.iter().filter(|file| !asked.files.contains(file));
    let added = asked.files.iter().filter(|file| frozen.files.iter().all(|known| known.name != file.name));
    let names: Vec<&str> = differing.chain(added).map(|file| file.name.as_str()).collect();
    Some(format!(
        "models.{role}: the checkpoint is another one ({} → {}, in {})",
        &frozen_digest[..12],
        &asked_digest[..12],
        names.join(", ")
    ))
}
