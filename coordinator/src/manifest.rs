//! Seals a job: when every shard is committed or quarantined, one record names the dataset version.

use crate::state::{JobState, ShardState, commits};
use capfilt_schemas::{
    hash::PartsDigest,
    job::JobRecord,
    manifest::{self, Manifest, QuarantinedShard, Repaired},
    object_keys,
    plan::Shard,
    record::{Record as _, RecordError},
    tally::Tally,
};
use capfilt_store::{Location, PutOutcome, StoreError, strays};
use futures::TryStreamExt as _;
use std::{collections::BTreeSet, pin::pin};

/// Bound of lost races against other writers; each of these writers created a manifest.
const RACES: u32 = 16;

/// A manifest that is in the bucket and describes the current commits.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// Name of the manifest below the job's URL.
    pub name: String,
    /// URL of the manifest.
    pub url: String,
    /// The manifest.
    pub manifest: Manifest,
    /// Whether this call wrote the manifest; otherwise it existed.
    pub is_new: bool,
}

/// Reason why no manifest was written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum ManifestError {
    #[error("{open} shards are neither committed nor quarantined; run the job again to finish them")]
    Open { open: u64 },
    #[error(
        "other processes created {RACES} manifests during this attempt to write one; find the processes that \
         work on this job, and stop all but one"
    )]
    Races,
    #[error(
        "{object} has the highest possible number, and capfilt did not write it: delete it, and run the job \
         again"
    )]
    LastNumber { object: String },
    #[error(transparent)]
    Location(#[from] StoreError),
}

/// Writes the next manifest, unless the newest one is equal. A damaged manifest is skipped.
///
/// # Errors
/// Open shards, a damaged commit or one of another job, and a failing store.
pub async fn seal(
    bucket: &Location,
    job: &JobRecord,
    plan: &[Shard],
    job_state: &JobState,
) -> Result<Sealed, ManifestError> {
    let open = job_state.remaining(plan, job.settings.limits.attempts).count() as u64;
    if open > 0 {
        return Err(ManifestError::Open { open });
    }
    let mut manifest = describe(bucket, job, plan, job_state).await?;
    let highest = highest(bucket).await?;
    if let Some(n) = highest
        && let Some(newest) = read_if_sound(bucket, n).await?
        && newest.is_same_data(&manifest)
    {
        return Ok(sealed(bucket, newest, false));
    }
    manifest.n = highest.map_or(Ok(0), |n| next(bucket, n))?;
    for _ in 0..RACES {
        let name = object_keys::manifest(manifest.n);
        match bucket.create_record(&name, &manifest).await? {
            PutOutcome::Created => return Ok(sealed(bucket, manifest, true)),
            PutOutcome::Exists(found) => match bucket.parse_record::<Manifest>(&name, &found) {
                Ok(found) if found.is_same_data(&manifest) => return Ok(sealed(bucket, found, false)),
                Err(error) if !error.is_damage() => return Err(error.into()),
                _ => manifest.n = next(bucket, manifest.n)?,
            },
        }
    }
    Err(ManifestError::Races)
}

/// Manifest of the bucket's commits, with number 0.
pub async fn describe(
    bucket: &Location,
    job: &JobRecord,
    plan: &[Shard],
    job_state: &JobState,
) -> Result<Manifest, StoreError> {
    let mut builder = ManifestBuilder::default();
    let mut counted = pin!(commits::read_all(bucket, plan, &job_state.committed, job_state.job.as_ref()));
    while let Some(one) = counted.try_next().await? {
        builder.add(&one);
    }
    Ok(builder.close(job, plan, job_state))
}

/// Builds a manifest from the results, which are added in plan order.
#[derive(Debug, Default)]
pub(crate) struct ManifestBuilder {
    digest: PartsDigest,
    shards: u64,
    rows: u64,
    tally: Tally,
    repaired: Vec<Repaired>,
}

impl ManifestBuilder {
    pub(crate) fn add(&mut self, one: &commits::ShardResult) {
        // A digest of digests: the hashed bytes per shard have a fixed size, and `verify` has the digest.
        self.digest.add(one.sha256.as_bytes());
        self.shards += 1;
        self.rows += one.commit.rows;
        self.tally.merge(&one.commit.tally);
        if one.n > 0 {
            self.repaired.push(Repaired { shard: one.commit.shard.clone(), n: one.n });
        }
    }

    /// Digest of the added results.
    pub(crate) fn digest(&self) -> String {
        self.digest.clone().finish()
    }

    pub(crate) fn close(self, job: &JobRecord, plan: &[Shard], job_state: &JobState) -> Manifest {
        let attempts = job.settings.limits.attempts;
        let quarantined = plan.iter().filter_map(|shard| match job_state.of(&shard.id, attempts) {
            ShardState::Quarantined(why) => {
                let reason = format!("{}: {}", why.class, why.message);
                Some(QuarantinedShard { shard: shard.id.clone(), rows: shard.rows, reason })
            }
            _ => None,
        });
        Manifest {
            version: manifest::VERSION,
            n: 0,
            digest: self.digest.finish(),
            shards: self.shards,
            rows: self.rows,
            tally: self.tally,
            repaired: self.repaired,
            quarantined: quarantined.collect(),
            refused: job.plan.refused.clone(),
            job: job_state.job.clone(),
        }
    }
}

/// Reads the manifest with the highest number.
///
/// # Errors
/// A failing store, and an object with that number that is not a manifest ([`StoreError::is_damage`]).
pub async fn newest(bucket: &Location) -> Result<Option<Manifest>, StoreError> {
    match highest(bucket).await? {
        Some(n) => read(bucket, n).await.map(Some),
        None => Ok(None),
    }
}

/// Reads the manifest with number `n`.
///
/// # Errors
/// As [`newest`], and a missing manifest.
pub async fn read(bucket: &Location, n: u32) -> Result<Manifest, StoreError> {
    let name = object_keys::manifest(n);
    let manifest: Manifest = bucket.read_record(&name).await?;
    if manifest.n == n {
        return Ok(manifest);
    }
    let source = serde::de::Error::custom(format!("it is a copy of {}", object_keys::manifest(manifest.n)));
    let source = RecordError::Malformed { kind: Manifest::KIND, source };
    Err(StoreError::Record { object: bucket.url_of(&name), source })
}

/// Number of the newest manifest; `None` without a manifest.
pub(crate) async fn highest(bucket: &Location) -> Result<Option<u32>, StoreError> {
    Ok(numbers(bucket).await?.last().copied())
}

/// Numbers of the existing manifests. Other objects in the folder are reported and skipped.
pub(crate) async fn numbers(bucket: &Location) -> Result<BTreeSet<u32>, StoreError> {
    let mut listed = bucket.list(object_keys::MANIFESTS);
    let mut numbers = BTreeSet::new();
    while let Some((name, meta)) = listed.try_next().await? {
        match object_keys::parse_manifest(&name) {
            Some(n) => drop(numbers.insert(n)),
            None if meta.size > 0 => strays::pass_over(bucket, &name, "the name is not that of a manifest"),
            None => {}
        }
    }
    Ok(numbers)
}

async fn read_if_sound(bucket: &Location, n: u32) -> Result<Option<Manifest>, StoreError> {
    match read(bucket, n).await {
        Err(error) if error.is_damage() => {
            strays::pass_over(bucket, &object_keys::manifest(n), &error.to_string());
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The number after `n`.
fn next(bucket: &Location, n: u32) -> Result<u32, ManifestError> {
    let last = || ManifestError::LastNumber { object: bucket.url_of(&object_keys::manifest(n)) };
    n.checked_add(1).ok_or_else(last)
}

fn sealed(bucket: &Location, manifest: Manifest, is_new: bool) -> Sealed {
    let name = object_keys::manifest(manifest.n);
    Sealed { url: bucket.url_of(&name), name, manifest, is_new }
}
