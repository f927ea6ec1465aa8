//! Objects that no commit names: what zombies, speculative copies and killed attempts left behind.
//!
//! It is safe while workers run, and no clock is asked. What is there is listed first; what counts is read
//! after that. A listed attempt at a shard that has a result, and that no retry has open, can win no more:
//! either it has a commit, which is read now, or another attempt has the number it would need. An attempt at
//! a shard without a result may be running, and is left alone unless a failure on record says that it has
//! ended.
//!
//! Only names that the program itself writes are garbage, and a symbolic link is neither removed nor
//! followed.

use crate::{
    job::{self, JobError},
    state::JobState,
};
use capfilt_bucket::{Bucket, BucketError, RECORDS_AT_ONCE, Unfinished, strays};
use capfilt_schemas::{
    commit::Commit,
    failure::FailureClass,
    names::{self, AttemptId},
    plan::ShardId,
};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What can go, and what was left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Names below the job's URL, with their bytes.
    pub objects: Vec<(String, u64)>,
    /// Objects, and unfinished uploads, of attempts that may still be running.
    pub maybe_running: u64,
    /// Uploads in parts that nobody will finish.
    pub uploads: Vec<Unfinished>,
    /// Why unfinished uploads could not be listed: not every store knows the request, or allows it to us.
    pub uploads_unknown: Option<String>,
}

impl Garbage {
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Looks for objects that nothing needs.
///
/// # Errors
/// When there is no job, or the store fails.
pub async fn find(bucket: &Bucket) -> Result<Garbage, JobError> {
    let listed = listed(bucket).await?;
    let (uploads, uploads_unknown) = unfinished_uploads(bucket).await?;
    let probes = probes(bucket).await?;
    let plans = bucket.list_here().await?.into_iter().filter(|(name, _)| names::is_plan(name));
    let plans: Vec<_> = plans.collect();
    let (record, plan) = job::load(bucket).await?;
    let job_state = JobState::read(bucket).await?;
    let committed = committed(bucket, &listed).await?;
    let mut garbage = Garbage { uploads_unknown, ..Garbage::default() };
    let planned: HashSet<&ShardId> = plan.iter().map(|shard| &shard.id).collect();
    let has_ended = |shard: &ShardId, attempt: &AttemptId| {
        let mut failures = job_state.failures.get(shard).into_iter().flatten();
        // Where the store failed, the commit may still be on its way.
        let has_failed = failures.any(|one| one.attempt == *attempt && one.class != FailureClass::Store);
        // A shard that is not of this plan has no attempt that could count.
        !planned.contains(shard) || job_state.is_settled(shard) || has_failed
    };
    for (shard, objects) in &listed {
        for (attempt, name, bytes) in objects {
            match committed.contains(attempt) {
                true => {}
                false if has_ended(shard, attempt) => garbage.objects.push((name.clone(), *bytes)),
                false => garbage.maybe_running += 1,
            }
        }
    }
    for upload in uploads {
        // A commit names whole objects only, so an attempt that has one uploads nothing any more.
        match names::parse_output(&upload.name) {
            Some((shard, attempt)) if has_ended(&shard, &attempt) || committed.contains(&attempt) => {
                garbage.uploads.push(upload);
            }
            Some(_) => garbage.maybe_running += 1,
            None => {}
        }
    }
    // A planner that lost the race for job.json, or died before it, left its plan; a check that died, its
    // probe.
    let stray = plans.into_iter().filter(|(name, _)| *name != record.plan.path);
    garbage.objects.extend(stray.chain(probes).map(|(name, meta)| (name, meta.size)));
    Ok(garbage)
}

/// Deletes what was found; `progress` is told how many objects are gone.
///
/// # Errors
/// When the store fails; what is gone stays gone, and another call does the rest.
pub async fn remove(
    bucket: &Bucket,
    garbage: &Garbage,
    mut progress: impl FnMut(u64),
) -> Result<(), BucketError> {
    let deletes = futures::stream::iter(&garbage.objects).map(|(name, _)| bucket.delete(name));
    let mut deletes = deletes.buffer_unordered(RECORDS_AT_ONCE);
    let mut gone = 0;
    while let Some(deleted) = deletes.next().await {
        // Somebody else's gc may have been faster.
        deleted.or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })?;
        gone += 1;
        progress(gone);
    }
    drop(deletes);
    let aborts = futures::stream::iter(&garbage.uploads).map(|upload| bucket.abort_upload(upload));
    aborts.buffer_unordered(RECORDS_AT_ONCE).try_collect().await
}

/// Uploads below the job that are not finished, or why that cannot be told.
async fn unfinished_uploads(bucket: &Bucket) -> Result<(Vec<Unfinished>, Option<String>), BucketError> {
    match bucket.unfinished_uploads().await {
        Ok(uploads) => Ok((uploads.unwrap_or_default(), None)),
        Err(error) if error.kind().is_some_and(|kind| kind.is_outage()) => Err(error),
        Err(error) => Ok((Vec::new(), Some(error.to_string()))),
    }
}

/// What checks that died left; anything else in their folder is not ours.
async fn probes(bucket: &Bucket) -> Result<Vec<(String, ObjectMeta)>, BucketError> {
    let listed: Result<Vec<_>, _> = bucket.list(names::PROBES).try_collect().await;
    match listed {
        Err(error) if error.is_link() => {
            strays::pass_over(bucket, names::PROBES, &error.to_string());
            Ok(Vec::new())
        }
        listed => Ok(listed?.into_iter().filter(|(name, _)| names::is_probe(name)).collect()),
    }
}

type Objects = BTreeMap<ShardId, Vec<(AttemptId, String, u64)>>;

/// All objects of all attempts. Memory: a name per object.
async fn listed(bucket: &Bucket) -> Result<Objects, BucketError> {
    let mut objects = Objects::new();
    let mut list = bucket.list(names::ATTEMPTS);
    while let Some((name, meta)) = list.try_next().await? {
        if let Some((shard, attempt)) = names::parse_output(&name) {
            objects.entry(shard).or_default().push((attempt, name, meta.size));
        }
    }
    Ok(objects)
}

/// Attempts that have a commit, whatever its number: earlier dataset versions are made of them.
async fn committed(bucket: &Bucket, listed: &Objects) -> Result<BTreeSet<AttemptId>, BucketError> {
    let mut commits: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
    let mut list = bucket.list(names::COMMITS);
    while let Some((name, _)) = list.try_next().await? {
        if let Some((shard, _)) = names::parse_commit(&name) {
            commits.entry(shard).or_default().push(name);
        }
    }
    let mut committed = BTreeSet::new();
    let mut unclear = Vec::new();
    for (shard, names) in commits {
        let attempts: BTreeSet<_> =
            listed.get(&shard).into_iter().flatten().map(|(attempt, _, _)| attempt).collect();
        // Every commit has an attempt of its own, so where there are as many of both, no record need be read.
        if attempts.len() == names.len() {
            committed.extend(attempts.into_iter().cloned());
        } else {
            unclear.extend(names);
        }
    }
    let reads = futures::stream::iter(&unclear).map(|name| bucket.read_record::<Commit>(name));
    let mut reads = reads.buffer_unordered(RECORDS_AT_ONCE);
    while let Some(commit) = reads.try_next().await? {
        committed.insert(commit.attempt);
    }
    Ok(committed)
}
