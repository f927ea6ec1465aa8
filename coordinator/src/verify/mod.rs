//! Compares the bucket with its records: every table is read and counted again.
//!
//! Memory is constant: per concurrent shard, the kept rows of the shard (without images) and one row group of
//! a table.

mod cuts;
mod ledger;
mod pairs;
mod problem;
mod quarantine;
mod records;
mod shard;
mod table;

pub use problem::Problem;

use crate::{
    job::{self, JobError},
    manifest::{self, ManifestBuilder},
    state::JobState,
};
use capfilt_schemas::{job::JobRecord, manifest::Manifest, object_keys, plan::Shard};
use capfilt_store::{Location, StoreError};
use futures::StreamExt as _;
use serde::Serialize;
use std::{fmt, pin::pin, sync::Arc};

/// Shards checked at the same time. Decoding is the bottleneck, and more shards only need more memory.
const SHARDS_AT_ONCE: usize = 4;

/// Result of `capfilt verify`, also printed as JSON with `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether no problem was found.
    pub ok: bool,
    /// Rows of committed shards.
    pub rows: u64,
    /// Number of commits without a job digest: an early version of capfilt did not record it.
    pub commits_without_job: u64,
    /// Problems that were found.
    pub problems: Vec<Problem>,
}

/// Counts and verdict, without the problems.
impl fmt::Display for Verification {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.commits_without_job > 0 {
            writeln!(
                out,
                "{} commits do not say which job they belong to: an older capfilt wrote them, which did not \
                 record the job",
                self.commits_without_job
            )?;
        }
        let verdict = if self.ok { "in order" } else { "NOT in order" };
        write!(out, "{} rows in committed shards: {verdict}, {} problems", self.rows, self.problems.len())
    }
}

/// Verifies a job; with `input`, also that its input files are in the planned states. `progress` receives the
/// number of checked shards and their total.
///
/// # Errors
/// A failing store, and a missing job. A fault of the job itself is a [`Problem`].
pub async fn verify(
    bucket: &Location,
    input: Option<&Location>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Verification, JobError> {
    let (job, plan) = match job::load(bucket).await {
        Ok(loaded) => loaded,
        Err(error @ (JobError::Damaged { .. } | JobError::Location(StoreError::Record { .. }))) => {
            let next = "without job.json and its plan no other check is possible; restore them from a copy";
            return Ok(conclude(0, 0, vec![Problem::new(object_keys::JOB, error.to_string(), next)]));
        }
        Err(error) => return Err(error),
    };
    let mut problems = Vec::new();
    if let Some(input) = input {
        problems.extend(input_changes(input, &job, &plan).await?);
    }
    let job_state = JobState::read_unchecked(bucket, &JobState::default()).await?;
    problems.extend(records::links(bucket)?);
    problems.extend(records::known_answers(bucket, &job).await?);
    problems.extend(records::check(bucket, &plan).await?);
    problems.extend(open_shards(&job, &plan, &job_state));
    problems.extend(cuts::check(bucket, job_state.job.as_ref()).await?);
    let (builder, without_job) =
        shards(bucket, &job, &plan, &job_state, &mut problems, &mut progress).await?;
    let expected = builder.close(&job, &plan, &job_state);
    problems.extend(
        manifest_problem(bucket, &expected, job_state.remaining(&plan, attempts(&job)).count()).await?,
    );
    Ok(conclude(expected.rows, without_job, problems))
}

fn conclude(rows: u64, commits_without_job: u64, problems: Vec<Problem>) -> Verification {
    Verification { ok: problems.is_empty(), rows, commits_without_job, problems }
}

fn attempts(job: &JobRecord) -> u32 {
    job.settings.limits.attempts
}

/// Checks every committed shard; returns the manifest built from their commits, in plan order, and the number
/// of commits without a job digest.
async fn shards(
    bucket: &Location,
    job: &JobRecord,
    plan: &[Shard],
    job_state: &JobState,
    problems: &mut Vec<Problem>,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(ManifestBuilder, u64), JobError> {
    let settings = Arc::new(job.settings.clone());
    let committed =
        plan.iter().filter_map(|shard| Some((shard.clone(), *job_state.committed.get(&shard.id)?)));
    let total = job_state.committed.len() as u64;
    // Separate tasks, so that shards are decoded on several cores.
    let checks = futures::stream::iter(committed).map(|(shard, n)| {
        let (bucket, settings, job) = (bucket.clone(), Arc::clone(&settings), job_state.job.clone());
        tokio::spawn(async move { shard::check(&bucket, (&settings, job.as_ref()), &shard, n).await })
    });
    let mut checks = pin!(checks.buffered(SHARDS_AT_ONCE));
    let (mut builder, mut done, mut without_job) = (ManifestBuilder::default(), 0, 0);
    while let Some(found) = checks.next().await {
        let found = found.expect("checking a shard does not panic")?;
        problems.extend(found.problems);
        found.counted.iter().for_each(|counted| builder.add(counted));
        without_job += found.counted.iter().filter(|counted| counted.commit.job.is_none()).count() as u64;
        done += 1;
        progress(done, total);
    }
    Ok((builder, without_job))
}

async fn input_changes(input: &Location, job: &JobRecord, plan: &[Shard]) -> Result<Vec<Problem>, JobError> {
    let next = "the job's results belong to the planned input; restore the planned input, or clean the new \
                input as a new job";
    let changes = job::input_changes(input, &job.settings.job.url, job, plan).await?;
    Ok(changes.iter().map(|change| Problem::new(&job.settings.input.url, change.to_string(), next)).collect())
}

/// One problem for all open shards: an unfinished job may have many.
fn open_shards(job: &JobRecord, plan: &[Shard], job_state: &JobState) -> Option<Problem> {
    let mut open = job_state.remaining(plan, attempts(job)).map(|task| task.shard);
    let first = open.next()?;
    let (n, all) = (1 + open.count(), plan.len());
    let what = format!(
        "{n} of {all} planned shards are open or await a retry (first: {}, rows from {} of {})",
        first.id, first.first_row, first.file.path
    );
    Some(Problem::new(object_keys::commit(&first.id, 0), what, "run the job again to finish them"))
}

async fn manifest_problem(
    bucket: &Location,
    expected: &Manifest,
    open: usize,
) -> Result<Option<Problem>, StoreError> {
    let highest = manifest::highest(bucket).await?;
    let again = "run the job again: it writes a manifest of the current commits";
    let Some(n) = highest else {
        let what = "every shard is committed or quarantined, but there is no manifest";
        return Ok((open == 0).then(|| Problem::new(object_keys::MANIFESTS, what, again)));
    };
    let name = object_keys::manifest(n);
    let found: Manifest = match manifest::read(bucket, n).await {
        Ok(found) => found,
        Err(error @ StoreError::Record { .. }) => {
            let next = match (error.is_damage(), n.checked_add(1)) {
                (true, Some(_)) => again,
                (true, None) => "delete it: capfilt did not write it, and no higher number is possible",
                (false, _) => "verify the job with the newer program",
            };
            return Ok(Some(Problem::new(name, error.to_string(), next)));
        }
        Err(error) => return Err(error),
    };
    Ok(difference(&found, expected).map(|what| Problem::new(name, what, again)))
}

fn difference(found: &Manifest, expected: &Manifest) -> Option<String> {
    let differing = [
        ("the job", found.job.is_some() && found.job != expected.job),
        ("the digest over the commits", found.digest != expected.digest),
        ("the number of shards", found.shards != expected.shards),
        ("the number of rows", found.rows != expected.rows),
        ("the tally", found.tally != expected.tally),
        ("the repaired shards", found.repaired != expected.repaired),
        ("the quarantined shards", found.quarantined != expected.quarantined),
        ("the refused files", found.refused != expected.refused),
    ];
    let names: Vec<&str> =
        differing.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect();
    (!names.is_empty()).then(|| {
        format!("the newest manifest does not describe the current commits: {} differ", names.join(", "))
    })
}
