//! Self-test: the source of a job's known answers, and the comparison of a device with them.
//!
//! ```text
//! <job>/known-answers.json                 If the file exists, it holds for the whole job. Otherwise the
//!                                          first worker process creates the file from
//!   <captioner>/known-answers-<key>.json   the answers that `check --write-known-answers` wrote beside the
//!                                          checkpoint on a machine that the user trusts, or else from
//!   this machine's CPU, in f32             with weights whose digests were checked immediately before.
//! ```
//!
//! Known answers always come from a CPU in f32, regardless of the job's device and precision: a broken GPU
//! must not write its own reference, and a half precision with a systematic error must not be compared with
//! itself. One file therefore serves every precision. If two worker processes start first, both offer their
//! answers by a create-only PUT; one wins, and both are compared with the stored file.

use crate::models;
use anyhow::{Context as _, anyhow};
use capfilt_console::{Exit, ExitCodeExt as _, Failure};
use capfilt_pipeline::{
    capfilt::CapFilt,
    self_test::{self, NotProven, Tolerance},
};
use capfilt_schemas::{
    job::JobRecord,
    object_keys,
    self_test::{KnownAnswers, Made, ModelPair, VERSION},
    settings::Precision,
};
use capfilt_store::{Location, PutOutcome};
use std::time::Instant;

/// Known answers and their source.
pub struct Reference {
    /// Captions and scores of the reference models.
    pub answers: KnownAnswers,
    /// URL of the file, or a description of the machine that computed the answers.
    pub source: String,
}

/// Reads the job's known answers, or creates them.
///
/// # Errors
/// When the store fails, the answers are of other models, or the reference models do not load.
pub async fn of_job(bucket: &Location, job: &JobRecord) -> Result<Reference, Failure> {
    if let Some(found) = read(bucket, object_keys::KNOWN_ANSWERS, job).await? {
        return Ok(found);
    }
    let offered = trusted(job).await?;
    create(bucket, object_keys::KNOWN_ANSWERS, offered.answers, job).await
}

/// Returns the known answers of a job with these models, without writing them.
///
/// # Errors
/// As [`of_job`].
pub async fn of_job_to_be(bucket: &Location, job: &JobRecord) -> Result<Reference, Failure> {
    match read(bucket, object_keys::KNOWN_ANSWERS, job).await? {
        Some(found) => Ok(found),
        None => trusted(job).await,
    }
}

/// Reads the answers beside the captioner's checkpoint, or creates them.
///
/// # Errors
/// As [`of_job`].
pub async fn of_checkpoints(job: &JobRecord) -> Result<Reference, Failure> {
    let (folder, name) = beside_checkpoint(job)?;
    match read(&folder, &name, job).await? {
        Some(found) => Ok(found),
        None => create(&folder, &name, made_here(job).await?.answers, job).await,
    }
}

/// Runs the self-test on a device's models; returns a text with the differences and the duration.
///
/// # Errors
/// When the device does not reproduce the answers, or the models fail.
pub fn prove(capfilt: &mut CapFilt, known: &Reference, precision: Precision) -> Result<String, Failure> {
    let from = Instant::now();
    let cause = match capfilt.prove(&known.answers, Tolerance::of(precision)) {
        Ok(agreement) => return Ok(format!("{agreement}; in {:.2} s", from.elapsed().as_secs_f64())),
        Err(NotProven::Model(error)) => {
            return Err(error)
                .with_context(|| format!("cannot compute the answers to compare with {}", known.source))
                .or_environment_error();
        }
        Err(NotProven::NotReproduced(cause)) => cause,
    };
    Err(anyhow!(
        "this machine does not reproduce {}: {cause}. Likely causes: damaged weights in this machine's \
         cache, a broken device or memory, a libtorch that computes wrongly, or {precision} being too coarse \
         for these weights. If sound machines fail too, the answers are wrong: delete the file, and the one \
         beside the captioner's checkpoint if it exists; the next worker process creates it again",
        known.source
    ))
    .or_environment_error()
}

/// Reads the answers that the user trusts, or else computes them on this machine's CPU.
async fn trusted(job: &JobRecord) -> Result<Reference, Failure> {
    let (folder, name) = beside_checkpoint(job)?;
    match read(&folder, &name, job).await? {
        Some(found) => Ok(found),
        None => made_here(job).await,
    }
}

/// The folder of the captioner's checkpoint, or of the filter's if the job loads no captioner.
fn beside_checkpoint(job: &JobRecord) -> Result<(Location, String), Failure> {
    let models = &job.settings.models;
    let folder = models.captioner.as_ref().unwrap_or(&models.filter);
    let folder = Location::open_without_links(folder).or_usage_error()?;
    Ok((folder, ModelPair::of(job).file_name()))
}

async fn made_here(job: &JobRecord) -> Result<Reference, Failure> {
    // One model after the other, so that memory holds only one.
    let captions = match job.captioner.is_none() {
        true => Vec::new(),
        false => {
            self_test::captions(models::reference_captioner(job).await?.as_mut()).or_environment_error()?
        }
    };
    let scores = self_test::scores(models::reference_filter(job).await?.as_mut()).or_environment_error()?;
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let made = Made { program, device: "cpu".to_owned(), precision: Precision::F32 };
    let answers = KnownAnswers { version: VERSION, models: ModelPair::of(job), made, scores, captions };
    Ok(Reference { answers, source: "this machine's CPU in f32".to_owned() })
}

async fn read(bucket: &Location, name: &str, job: &JobRecord) -> Result<Option<Reference>, Failure> {
    let found =
        bucket.read_if_there(name).await.context("cannot read the known answers").or_environment_error()?;
    found.map(|bytes| parse(bucket, name, &bytes, job)).transpose()
}

async fn create(
    bucket: &Location,
    name: &str,
    answers: KnownAnswers,
    job: &JobRecord,
) -> Result<Reference, Failure> {
    let created = bucket.create_record(name, &answers).await.context("cannot write the known answers");
    match created.or_environment_error()? {
        PutOutcome::Created => Ok(Reference { answers, source: bucket.url_of(name) }),
        PutOutcome::Exists(found) => parse(bucket, name, &found, job),
    }
}

fn parse(bucket: &Location, name: &str, bytes: &[u8], job: &JobRecord) -> Result<Reference, Failure> {
    let source = bucket.url_of(name);
    let answers: Result<KnownAnswers, _> = bucket.parse_record(name, bytes);
    let answers = answers.context(
        "cannot read the known answers; delete the file, and the next worker process creates it again",
    );
    let answers = answers.or_environment_error()?;
    match answers.misfit(&ModelPair::of(job)) {
        None => Ok(Reference { answers, source }),
        Some(misfit) => Err(Failure {
            exit: Exit::Environment,
            error: anyhow!(
                "{source} has known answers of other models: {misfit}; delete it, and the next worker \
                 process creates it again"
            ),
        }),
    }
}
