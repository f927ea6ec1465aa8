//! Known answers: where a job has them from, and whether a device gives them.
//!
//! ```text
//! <job>/known-answers.json                 there: it holds for the whole job. Else the first worker puts it there, out of
//!   <captioner>/known-answers-<key>.json   what `check --write-known-answers` left beside the checkpoint on a machine
//!                                          the user trusts, or else out of
//!   its own CPU, in f32                    and of weights whose digests it has just checked
//! ```
//!
//! Always a CPU in f32, whatever the job computes on and in: a broken GPU must not write the truth it is held
//! against, and half precision that loses itself everywhere alike must not agree with itself. So one file
//! serves every precision. Two workers that are first offer their answers by a create-only PUT; one wins, and
//! both are held against it.

use crate::{
    exit::{Exit, ExitCodeExt as _, Failure},
    models,
};
use anyhow::{Context as _, anyhow};
use capfilt_bucket::{Bucket, Creation};
use capfilt_pipeline::{
    capfilt::CapFilt,
    known_answers::{self, NotProven, Tolerance},
};
use capfilt_schemas::{
    job::JobRecord,
    known_answers::{KnownAnswers, Made, ModelPair, VERSION},
    names,
    settings::Precision,
};
use std::time::Instant;

/// Known answers, and where they are from.
pub struct Reference {
    pub answers: KnownAnswers,
    /// A URL, or how they were made.
    pub source: String,
}

/// The job's known answers; when it has none, it has after this.
pub async fn of_job(bucket: &Bucket, job: &JobRecord) -> Result<Reference, Failure> {
    if let Some(found) = read(bucket, names::KNOWN_ANSWERS, job).await? {
        return Ok(found);
    }
    let offered = trusted(job).await?;
    create(bucket, names::KNOWN_ANSWERS, offered.answers, job).await
}

/// What a job with these models would be held against; writes nothing.
pub async fn of_job_to_be(bucket: &Bucket, job: &JobRecord) -> Result<Reference, Failure> {
    match read(bucket, names::KNOWN_ANSWERS, job).await? {
        Some(found) => Ok(found),
        None => trusted(job).await,
    }
}

/// The answers beside the captioner's checkpoint; when there are none, there are after this.
pub async fn of_checkpoints(job: &JobRecord) -> Result<Reference, Failure> {
    let (folder, name) = beside_checkpoint(job)?;
    match read(&folder, &name, job).await? {
        Some(found) => Ok(found),
        None => create(&folder, &name, made_here(job).await?.answers, job).await,
    }
}

/// Asks a device's models, and says how near they are, and how long it took.
pub fn prove(capfilt: &mut CapFilt, known: &Reference, precision: Precision) -> Result<String, Failure> {
    let from = Instant::now();
    let cause = match capfilt.prove(&known.answers, Tolerance::of(precision)) {
        Ok(agreement) => return Ok(format!("{agreement}; in {:.2} s", from.elapsed().as_secs_f64())),
        Err(NotProven::Model(error)) => {
            return Err(error)
                .with_context(|| format!("no answer to compare with {}", known.source))
                .or_environment_error();
        }
        Err(NotProven::NotReproduced(cause)) => cause,
    };
    let precision = format!("{precision:?}").to_lowercase();
    Err(anyhow!(
        "this machine does not compute what {} says: {cause}. Likely causes: damaged weights in this machine's cache, a \
         broken device or memory, a libtorch that computes wrongly, or {precision} being too coarse for these weights. If \
         sound machines fail too, the answers are wrong: delete the file, and the one beside the captioner's checkpoint if \
         there is one; the next worker makes it anew",
        known.source
    ))
    .or_environment_error()
}

/// What the user vouches for, or else what this machine's CPU says.
async fn trusted(job: &JobRecord) -> Result<Reference, Failure> {
    let (folder, name) = beside_checkpoint(job)?;
    match read(&folder, &name, job).await? {
        Some(found) => Ok(found),
        None => made_here(job).await,
    }
}

fn beside_checkpoint(job: &JobRecord) -> Result<(Bucket, String), Failure> {
    let folder = Bucket::open(&job.settings.models.captioner).or_usage_error()?;
    Ok((folder, ModelPair::of(job).file_name()))
}

async fn made_here(job: &JobRecord) -> Result<Reference, Failure> {
    // One after the other, so that only one of them takes up memory.
    let captions = known_answers::captions(&mut models::reference_captioner(job).await?)
        .map_err(models::model_failed)?;
    let scores =
        known_answers::scores(&mut models::reference_filter(job).await?).map_err(models::model_failed)?;
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let made = Made { program, device: "cpu".to_owned(), precision: Precision::F32 };
    let answers = KnownAnswers { version: VERSION, models: ModelPair::of(job), made, scores, captions };
    Ok(Reference { answers, source: "this machine's CPU in f32".to_owned() })
}

async fn read(bucket: &Bucket, name: &str, job: &JobRecord) -> Result<Option<Reference>, Failure> {
    let found =
        bucket.read_if_there(name).await.context("cannot look for known answers").or_environment_error()?;
    found.map(|bytes| parse(bucket, name, &bytes, job)).transpose()
}

async fn create(
    bucket: &Bucket,
    name: &str,
    answers: KnownAnswers,
    job: &JobRecord,
) -> Result<Reference, Failure> {
    let bytes = serde_json::to_vec_pretty(&answers).expect("known answers are plain data");
    match bucket
        .create(name, bytes.into())
        .await
        .context("cannot keep the known answers")
        .or_environment_error()?
    {
        Creation::Created => Ok(Reference { answers, source: bucket.place.url_of(name) }),
        Creation::Exists(found) => parse(bucket, name, &found, job),
    }
}

fn parse(bucket: &Bucket, name: &str, bytes: &[u8], job: &JobRecord) -> Result<Reference, Failure> {
    let source = bucket.place.url_of(name);
    let answers: Result<KnownAnswers, _> = bucket.parse_record(name, bytes);
    let answers = answers
        .context("the known answers cannot be read; delete the file, and the next worker makes it anew");
    let answers = answers.or_environment_error()?;
    match answers.misfit(&ModelPair::of(job)) {
        None => Ok(Reference { answers, source }),
        Some(misfit) => Err(Failure {
            exit: Exit::Environment,
            error: anyhow!(
                "{source} holds no known answers of this job's models: {misfit}; delete it, and the next worker makes it anew"
            ),
        }),
    }
}
