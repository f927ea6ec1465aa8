//! Selects the valid objects of a job: the tables of the commits that one manifest names.
//!
//! Every reader of a job's tables uses this selection. A folder of attempts also has tables of killed
//! attempts, of slower speculative copies, and of attempts that a retry replaced.

use crate::{
    cuts::{self, CutsError, StoredCut, listed},
    job::{self, JobError},
    manifest::{self, ManifestBuilder},
    state::{
        JobState,
        commits::{self, ShardResult},
    },
};
use capfilt_schemas::{
    cut::CutName,
    job::{JobDigest, JobRecord},
    manifest::Manifest,
    object_keys,
    plan::{Shard, ShardId},
};
use capfilt_store::{Location, StoreError, foreign, without_secrets};
use futures::TryStreamExt as _;
use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
};

/// Version of a job's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// The version of the newest manifest.
    Newest,
    /// The version of the manifest with this number.
    Manifest(u32),
    /// The version of the newest manifest or, without a manifest, the current commits.
    NewestOrCommitted,
    /// The version of a cut: the commits of its manifest, with the pairs and the tallies of the cut.
    Cut(CutName),
}

/// A version of a job's tables whose commits `outputs` has passed to its caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned {
    /// The job's record.
    pub job: JobRecord,
    /// `None` without a manifest; the commits are then the current ones.
    pub manifest: Option<Manifest>,
    /// The cut of the version.
    pub cut: Option<StoredCut>,
    /// Number of commits passed to the caller, one per shard.
    pub commits: u64,
    /// Number of shards in the plan.
    pub planned: u64,
}

/// Reason why a job's tables cannot be selected.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum OutputsError {
    #[error(
        "the job at {url} has no manifest, so it is not finished: run it again, and use it after it is sealed"
    )]
    Unfinished { url: String },
    #[error("the job at {url} has no manifest {n}; it has {}", listed(.numbers))]
    NoSuchManifest { url: String, n: u32, numbers: BTreeSet<u32> },
    #[error(transparent)]
    Cut(#[from] CutsError),
    #[error(
        "{object} is a cut of other commits than manifest {manifest} counts now; make the cut again, under \
         another name"
    )]
    OtherCommits { object: String, manifest: u32 },
    #[error("{why}; run the job again: it writes the next manifest, from the current commits")]
    Damaged { why: String },
    #[error(
        "{url}: {object} does not match the commits that it counts; `capfilt verify --job {url}` lists the \
         faults"
    )]
    Differs { url: String, object: String },
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Location(#[from] StoreError),
}

/// Reads the valid commits in plan order and passes each to `take`. It makes about one request per shard and
/// opens no table. Every commit is checked against the job's digest, and all of them against the manifest's.
///
/// # Errors
/// A missing version, a damaged commit, a commit of another job, commits that differ from the manifest's, and
/// a failing store.
pub async fn outputs(
    bucket: &Location,
    version: Version,
    mut take: impl FnMut(&Shard, ShardResult),
) -> Result<Versioned, OutputsError> {
    let url = || without_secrets(&bucket.url);
    let (record, plan) = job::load(bucket).await?;
    let digest = job::digest(bucket).await?;
    let (mut cut, version) = match version {
        Version::Cut(name) => {
            let cut = cuts::read(bucket, &name, digest.as_ref()).await?;
            let version = Version::Manifest(cut.record.manifest);
            (Some(cut), version)
        }
        version => (None, version),
    };
    let manifest = choose(bucket, version, digest.as_ref()).await?;
    if let (Some(cut), Some(manifest)) = (&cut, &manifest)
        && cut.record.digest != manifest.digest
    {
        let object = bucket.url_of(&object_keys::cut(&cut.record.name));
        return Err(OutputsError::OtherCommits { object, manifest: manifest.n });
    }
    let numbered = match &manifest {
        Some(manifest) => numbers_of(&plan, manifest),
        None => {
            let committed = JobState::read(bucket).await?.committed;
            plan.iter().filter_map(|shard| Some((shard, *committed.get(&shard.id)?))).collect()
        }
    };
    let mut reads = pin!(commits::read_each(bucket, numbered, digest.as_ref()));
    let (mut builder, mut commits) = (ManifestBuilder::default(), 0);
    let mut of_cut = cut.as_mut().map(StoredCut::take_shards);
    while let Some((shard, mut one)) = reads.try_next().await? {
        builder.add(&one);
        commits += 1;
        if let Some(cut) = of_cut.as_mut().and_then(|shards| shards.remove(&shard.id)) {
            cut.replace(&mut one.commit);
        }
        take(shard, one);
    }
    if let Some(manifest) = manifest.as_ref().filter(|manifest| manifest.digest != builder.digest()) {
        return Err(OutputsError::Differs { url: url(), object: object_keys::manifest(manifest.n) });
    }
    Ok(Versioned { job: record, manifest, cut, commits, planned: plan.len() as u64 })
}

async fn choose(
    bucket: &Location,
    version: Version,
    job: Option<&JobDigest>,
) -> Result<Option<Manifest>, OutputsError> {
    let url = || without_secrets(&bucket.url);
    let must_be_sealed = version == Version::Newest;
    let found = match version {
        Version::Newest | Version::NewestOrCommitted | Version::Cut(_) => manifest::newest(bucket).await,
        Version::Manifest(n) => match manifest::read(bucket, n).await {
            Err(error) if error.is_not_found() => {
                let numbers = manifest::numbers(bucket).await?;
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
        let object = bucket.url_of(&object_keys::manifest(manifest.n));
        return Err(StoreError::Refused(foreign(&object, &why)).into());
    }
    if found.is_none() && must_be_sealed {
        return Err(OutputsError::Unfinished { url: url() });
    }
    Ok(found)
}

/// Number of the commit that a manifest counts, by shard, in plan order.
fn numbers_of<'a>(plan: &'a [Shard], manifest: &Manifest) -> Vec<(&'a Shard, u32)> {
    let mut numbers: HashMap<&ShardId, Option<u32>> =
        manifest.repaired.iter().map(|repaired| (&repaired.shard, Some(repaired.n))).collect();
    numbers.extend(manifest.quarantined.iter().map(|shard| (&shard.shard, None)));
    let number = |shard: &'a Shard| Some((shard, numbers.get(&shard.id).copied().unwrap_or(Some(0))?));
    plan.iter().filter_map(number).collect()
}
