//! Which of a job's objects count: the tables of the commits that one manifest names, and of no others.
//!
//! Everything that reads a job's tables asks here: a folder of attempts also holds what killed attempts left,
//! what slower copies wrote, and what a retry has replaced.

use crate::{
    job::{self, JobError},
    manifest::{self, ManifestBuilder},
    state::{
        JobState,
        commits::{self, ShardResult},
    },
};
use capfilt_bucket::{Bucket, BucketError, RECORDS_AT_ONCE, foreign, without_secrets};
use capfilt_schemas::{
    job::{JobDigest, JobRecord},
    manifest::Manifest,
    names,
    plan::{Shard, ShardId},
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::{collections::HashMap, pin::pin};

/// Which version of a job's tables is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// That of the newest manifest.
    Newest,
    /// That of the manifest with this number.
    Manifest(u32),
    /// That of the newest manifest, or, before there is one, what is committed at this moment.
    NewestOrCommitted,
}

/// A version of a job's tables, whose commits were handed out.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned {
    pub job: JobRecord,
    /// `None` when there is no manifest, and what is committed was handed out.
    pub manifest: Option<Manifest>,
    /// Commits that were handed out, each of another shard.
    pub commits: u64,
    /// Shards of the plan.
    pub planned: u64,
}

/// Why a job's tables cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum OutputsError {
    #[error(
        "the job at {url} has no manifest, so it is not finished: run it again, and use it when it is sealed"
    )]
    Unfinished { url: String },
    #[error("the job at {url} has no manifest {n}; it has {}", listed(.numbers))]
    NoSuchManifest { url: String, n: u32, numbers: Vec<u32> },
    #[error("{why}; run the job again: it writes the next manifest, of what is committed now")]
    Damaged { why: String },
    #[error(
        "{url}: {object} does not describe the commits it counts; `capfilt verify --job {url}` says what is wrong"
    )]
    Differs { url: String, object: String },
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Reads the commits that count, in plan order, and hands each to `take`. About one request per shard, and no
/// table is opened. Every commit is held against the job's digest, and all of them against the manifest's.
///
/// # Errors
/// When there is no such version, when a commit is damaged or of another job, when the commits are not those
/// the manifest was written for, and when the store fails.
pub async fn outputs(
    bucket: &Bucket,
    version: Version,
    mut take: impl FnMut(&Shard, ShardResult),
) -> Result<Versioned, OutputsError> {
    let url = || without_secrets(&bucket.place.url);
    let (record, plan) = job::load(bucket).await?;
    let digest = job::digest(bucket).await?;
    let manifest = choose(bucket, version, digest.as_ref()).await?;
    let numbered = match &manifest {
        Some(manifest) => numbers_of(&plan, manifest),
        None => {
            let committed = JobState::read(bucket).await?.committed;
            plan.iter().filter_map(|shard| Some((shard, *committed.get(&shard.id)?))).collect()
        }
    };
    let job = digest.as_ref();
    let reads = futures::stream::iter(numbered).map(|(shard, n)| async move {
        Ok::<_, BucketError>((shard, commits::read(bucket, &shard.id, n, job).await?))
    });
    let mut reads = pin!(reads.buffered(RECORDS_AT_ONCE));
    let (mut books, mut commits) = (ManifestBuilder::default(), 0);
    while let Some((shard, one)) = reads.try_next().await? {
        books.add(&one);
        commits += 1;
        take(shard, one);
    }
    if let Some(manifest) = manifest.as_ref().filter(|manifest| manifest.digest != books.digest()) {
        return Err(OutputsError::Differs { url: url(), object: names::manifest(manifest.n) });
    }
    Ok(Versioned { job: record, manifest, commits, planned: plan.len() as u64 })
}

async fn choose(
    bucket: &Bucket,
    version: Version,
    job: Option<&JobDigest>,
) -> Result<Option<Manifest>, OutputsError> {
    let url = || without_secrets(&bucket.place.url);
    let found = match version {
        Version::Newest | Version::NewestOrCommitted => manifest::newest(bucket).await,
        Version::Manifest(n) => match manifest::read(bucket, n).await {
            Err(error) if error.is_not_found() => {
                let numbers = manifest::numbers(bucket).await?.into_iter().collect();
                return Err(OutputsError::NoSuchManifest { url: url(), n, numbers });
            }
            read => read.map(Some),
        },
    };
    let found = match found {
        Err(error) if error.is_damage() => return Err(OutputsError::Damaged { why: error.to_string() }),
        found => found?,
    };
    let is_foreign = |manifest: &Manifest| job.and_then(|job| job.foreign(manifest.job.as_ref()));
    if let Some((manifest, why)) = found.as_ref().and_then(|manifest| Some((manifest, is_foreign(manifest)?)))
    {
        let object = bucket.place.url_of(&names::manifest(manifest.n));
        return Err(BucketError::Refused(foreign(&object, &why)).into());
    }
    if found.is_none() && version == Version::Newest {
        return Err(OutputsError::Unfinished { url: url() });
    }
    Ok(found)
}

/// The number of the commit that a manifest counts, by shard, in plan order.
fn numbers_of<'a>(plan: &'a [Shard], manifest: &Manifest) -> Vec<(&'a Shard, u32)> {
    let mut numbers: HashMap<&ShardId, Option<u32>> =
        manifest.repaired.iter().map(|repaired| (&repaired.shard, Some(repaired.n))).collect();
    numbers.extend(manifest.quarantined.iter().map(|shard| (&shard.shard, None)));
    let number = |shard: &'a Shard| Some((shard, numbers.get(&shard.id).copied().unwrap_or(Some(0))?));
    plan.iter().filter_map(number).collect()
}

fn listed(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    if numbers.is_empty() { "none yet".to_owned() } else { numbers.join(", ") }
}
