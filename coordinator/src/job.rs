//! Opens a job: the first run writes `job.json`, and every later run must match it.

pub use crate::state::job_record::{digest, find, find_with_digest};
use crate::{
    plan::{InputChange, Plan, PlanError, input, integrity, plan, table},
    state::{OnInputChange, input_changes},
};
use capfilt_schemas::{
    hash::sha256_hex,
    job::{self, JobDigest, JobRecord, ModelRecord, PlanRecord},
    object_keys,
    plan::{InputFile, Shard},
    settings::Settings,
};
use capfilt_store::{Location, PutOutcome, StoreError, without_secrets};
use futures::TryStreamExt as _;

/// The job that a run requests.
#[derive(Debug, Clone, Copy)]
pub struct JobRequest<'a> {
    /// Settings as the user wrote them: `auto` agrees with every frozen value.
    pub settings: &'a Settings,
    /// The settings, with every `auto` that can change a result (`workers.batch`, `models.precision`)
    /// replaced by this machine's value. A new job is frozen with these.
    pub resolved: &'a Settings,
    /// Files of the captioner.
    pub captioner: &'a ModelRecord,
    /// Files of the filter.
    pub filter: &'a ModelRecord,
    /// Files of the CLIP.
    pub clip: &'a ModelRecord,
}

/// A job that is ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The job's record.
    pub record: JobRecord,
    /// All shards of the job.
    pub plan: Vec<Shard>,
    /// Whether the job existed before.
    pub resumed: bool,
    /// Sentences for the user; none of them stops a job.
    pub warnings: Vec<String>,
}

/// Reason why a job could not be opened.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum JobError {
    #[error(
        "the job at this URL was started with other values:\n  {}\nrestore these values, or start a new job \
         (another job.url); `run --allow-changed` continues without changed input files", .0.join("\n  ")
    )]
    Differs(Vec<String>),
    #[error(
        "the weights are not those the job was started with:\n  {}\nrestore these weights, or start a new \
         job (another job.url)", .0.join("\n  ")
    )]
    OtherWeights(Vec<String>),
    #[error("{url}: there is no job (no job.json); is the URL right?")]
    NoJob { url: String },
    #[error(
        "{url}: there is no job.json, but there are results of a job ({object}), which a new job must not \
         use: restore that job's job.json to resume it, or move all objects away from here, or set another \
         job.url"
    )]
    Occupied { url: String, object: String },
    #[error("{object}: {why}; restore it from a copy, or start a new job (another job.url)")]
    Damaged { object: String, why: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Location(#[from] StoreError),
}

/// A warning if another release planned the job. A record of another *format* is refused when it is read.
pub fn other_release(record: &JobRecord) -> Option<String> {
    let (planned_by, this) = (&record.program, env!("CARGO_PKG_VERSION"));
    let warning = || {
        format!(
            "the job was planned by capfilt {planned_by}, this is {this}; captions may differ between \
             releases"
        )
    };
    (planned_by != this).then(warning)
}

/// Reads the record and the plan of an existing job. The plan is checked against the record's digest.
pub async fn load(bucket: &Location) -> Result<(JobRecord, Vec<Shard>), JobError> {
    let record = find(bucket).await?.ok_or_else(|| JobError::NoJob { url: without_secrets(&bucket.url) })?;
    let plan = load_plan(bucket, &record).await?;
    Ok((record, plan))
}

/// Resumes the job at this URL, or plans and creates it.
///
/// Resuming lists the input and compares states; it opens no input file. Two runs that start a job at the
/// same time are harmless: one creates the job, the other resumes it.
///
/// # Errors
/// [`JobError::Differs`] lists every difference between the existing and the requested job.
pub async fn open_or_create(
    bucket: &Location,
    input: &Location,
    asked: JobRequest<'_>,
    on_change: OnInputChange,
) -> Result<Opened, JobError> {
    if let Some(found) = find_with_digest(bucket).await? {
        return resume(bucket, input, found, asked, on_change).await;
    }
    let plan = plan(input, asked.resolved).await?;
    create(bucket, input, plan, asked).await
}

/// Writes the plan, then creates `job.json`, so that every job has its plan.
///
/// # Errors
/// [`JobError::Occupied`] if another job left results here; otherwise as [`open_or_create`].
pub async fn create(
    bucket: &Location,
    input: &Location,
    plan: Plan,
    asked: JobRequest<'_>,
) -> Result<Opened, JobError> {
    if let Some(object) = first_result(bucket).await? {
        // Another run may have created the job, and started workers, after this run's search for job.json.
        let Some(found) = find_with_digest(bucket).await? else {
            return Err(JobError::Occupied { url: without_secrets(&bucket.url), object });
        };
        return resume(bucket, input, found, asked, OnInputChange::Refuse).await;
    }
    let table = table::encode(&plan.shards);
    let sha256 = sha256_hex(&table);
    let path = object_keys::plan(&sha256);
    bucket.write(&path, table).await?;
    let record = JobRecord {
        version: job::VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        settings: JobRecord::frozen(asked.resolved),
        captioner: asked.captioner.clone(),
        filter: asked.filter.clone(),
        clip: asked.clip.clone(),
        plan: PlanRecord {
            path,
            sha256,
            shards: plan.shards.len() as u64,
            rows: plan.rows,
            refused: plan.refused,
            without_rows: plan.without_rows,
        },
    };
    match bucket.create_record(object_keys::JOB, &record).await? {
        PutOutcome::Created => {
            Ok(Opened { record, plan: plan.shards, resumed: false, warnings: plan.warnings })
        }
        PutOutcome::Exists(found) => {
            let found = (bucket.parse_record(object_keys::JOB, &found)?, JobDigest::of(&found));
            resume(bucket, input, found, asked, OnInputChange::Refuse).await
        }
    }
}

/// Returns an object that only a job writes, if there is one. Plans do not count: a planner that died may
/// have left one, and its name is a digest of its content.
async fn first_result(bucket: &Location) -> Result<Option<String>, StoreError> {
    for folder in [
        object_keys::COMMITS,
        object_keys::ATTEMPTS,
        object_keys::FAILURES,
        object_keys::RETRIES,
        object_keys::CONTROLS,
        object_keys::MANIFESTS,
    ] {
        let mut listed = bucket.list(folder);
        while let Some((name, meta)) = listed.try_next().await? {
            // Some tools write empty objects as folder markers.
            if meta.size > 0 {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

async fn resume(
    bucket: &Location,
    input: &Location,
    (record, job): (JobRecord, JobDigest),
    asked: JobRequest<'_>,
    on_change: OnInputChange,
) -> Result<Opened, JobError> {
    let plan = load_plan(bucket, &record).await?;
    let mut differences = record.differences(asked.settings);
    // The changed setting explains the difference better than a list of all files as "added".
    let is_other_input = differences.iter().any(|difference| difference.starts_with("input.url:"));
    let weights = weights_differences(&record, [asked.captioner, asked.filter, asked.clip]);
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

/// Differences between the input and the planned input.
///
/// # Errors
/// A failing listing.
pub async fn input_changes(
    input: &Location,
    job_url: &str,
    record: &JobRecord,
    plan: &[Shard],
) -> Result<Vec<InputChange>, PlanError> {
    let now = match input::list(input, job_url).await {
        // An input without files means that all planned files were removed.
        Err(PlanError::NoFiles { .. }) => Vec::new(),
        now => now?,
    };
    Ok(input::changes(&planned_files(record, plan), &now))
}

/// All input files of the plan: with shards, without rows, and refused.
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

async fn load_plan(bucket: &Location, record: &JobRecord) -> Result<Vec<Shard>, JobError> {
    let object = bucket.url_of(&record.plan.path);
    let damaged = |why: String| JobError::Damaged { object: object.clone(), why };
    let bytes = match bucket.read_if_there(&record.plan.path).await? {
        Some(bytes) => bytes,
        None => return Err(damaged("the job's plan is missing".to_owned())),
    };
    if sha256_hex(&bytes) != record.plan.sha256 {
        return Err(damaged("the plan is not the one that job.json names".to_owned()));
    }
    let plan = table::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    match integrity::fault(&plan, &record.plan) {
        Some(why) => Err(damaged(why)),
        None => Ok(plan),
    }
}

/// Differences between checkpoints and those of the frozen job, each as a sentence.
pub(crate) fn weights_differences(
    record: &JobRecord,
    [captioner, filter, clip]: [&ModelRecord; 3],
) -> Vec<String> {
    let roles = [
        ("captioner", &record.captioner, captioner),
        ("filter", &record.filter, filter),
        ("clip", &record.clip, clip),
    ];
    roles.into_iter().filter_map(|(role, frozen, asked)| model_difference(role, frozen, asked)).collect()
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
        "models.{role}: the checkpoint differs ({} → {}, in {})",
        &frozen_digest[..12],
        &asked_digest[..12],
        names.join(", ")
    ))
}
