//! Finds objects that no commit names: tables of superseded, speculative and killed attempts.
//!
//! Collection is safe while workers run, and uses no clock. Attempts are listed first, the job state is read
//! second. A listed attempt at a settled shard (committed, and not opened by a retry) cannot win: its commit
//! exists and is read now, or another attempt has the commit number that it would need. An attempt at any
//! other shard may be running, and is kept unless a failure record shows that it ended.
//!
//! Only names that the program itself writes are garbage. A symbolic link is neither removed nor followed.

use crate::{
    cuts,
    job::{self, JobError},
    state::JobState,
};
use capfilt_schemas::{
    commit::Commit,
    failure::FailureClass,
    object_keys::{self, AttemptId},
    plan::ShardId,
};
use capfilt_store::{Location, RECORDS_AT_ONCE, StoreError, Unfinished, strays};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Objects that can be deleted, and counts of the kept ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Names below the job's URL, with their sizes in bytes.
    pub objects: Vec<(String, u64)>,
    /// Number of objects and unfinished uploads of attempts that may be running.
    pub maybe_running: u64,
    /// Multipart uploads that no process will finish.
    pub uploads: Vec<Unfinished>,
    /// Reason why unfinished uploads could not be listed: some stores lack the request or forbid it.
    pub uploads_unknown: Option<String>,
}

impl Garbage {
    /// Sum of the sizes.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Garbage {
    /// The objects and counts as a JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let object = |(name, bytes): &(String, u64)| json!({"object": name, "bytes": bytes});
        let uploads: Vec<_> = self.uploads.iter().map(|upload| upload.name.as_str()).collect();
        json!({
            "objects": self.objects.iter().map(object).collect::<Vec<_>>(), "bytes": self.bytes(),
            "maybe_running": self.maybe_running, "unfinished_uploads": uploads,
            "uploads_unknown": self.uploads_unknown,
        })
    }

    /// The objects and counts as lines for people; `is_deleted`: after their deletion.
    pub fn lines(&self, is_deleted: bool) -> Vec<String> {
        let mut lines: Vec<String> =
            self.objects.iter().map(|(name, bytes)| format!("{bytes:>12}  {name}")).collect();
        let is_clean = self.objects.is_empty() && self.uploads.is_empty();
        let next = if is_deleted || is_clean { "" } else { "; --delete removes them" };
        let did = if is_deleted { "removed" } else { "not needed" };
        lines.push(format!("{} objects, {} bytes {did}{next}", self.objects.len(), self.bytes()));
        if !self.uploads.is_empty() {
            lines.extend(self.uploads.iter().map(|upload| format!("{:>12}  {}", "unfinished", upload.name)));
            lines.push(format!("{} unfinished uploads {did}{next}", self.uploads.len()));
        }
        lines.extend(self.uploads_unknown.iter().map(|why| {
            format!("unfinished uploads are not listed: {why}; a lifecycle rule of the bucket removes them")
        }));
        if self.maybe_running > 0 {
            let kept = self.maybe_running;
            lines.push(format!("{kept} more objects belong to attempts that may still be running"));
        }
        lines
    }
}

/// Finds objects that no record needs.
///
/// # Errors
/// A missing job, and a failing store.
pub async fn find(bucket: &Location) -> Result<Garbage, JobError> {
    let listed = listed(bucket).await?;
    let (uploads, uploads_unknown) = unfinished_uploads(bucket).await?;
    let probes = probes(bucket).await?;
    let plans = bucket.list_here().await?.into_iter().filter(|(name, _)| object_keys::is_plan(name));
    let plans: Vec<_> = plans.collect();
    let (record, plan) = job::load(bucket).await?;
    let job_state = JobState::read(bucket).await?;
    let committed = committed(bucket, &listed).await?;
    let mut garbage = Garbage { uploads_unknown, ..Garbage::default() };
    let planned: HashSet<&ShardId> = plan.iter().map(|shard| &shard.id).collect();
    let has_ended = |shard: &ShardId, attempt: &AttemptId| {
        let mut failures = job_state.failures.get(shard).into_iter().flatten();
        // After a failure of the store, the commit may still arrive.
        let has_failed = failures.any(|one| one.attempt == *attempt && one.class != FailureClass::Store);
        // A shard outside the plan has no attempt that could count.
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
        // A commit names only complete objects, so an attempt with a commit uploads nothing more.
        match object_keys::parse_output(&upload.name) {
            Some((shard, attempt)) if has_ended(&shard, &attempt) || committed.contains(&attempt) => {
                garbage.uploads.push(upload);
            }
            Some(_) => garbage.maybe_running += 1,
            None => {}
        }
    }
    // A planner that lost the race for job.json, or died before it, left its plan; a check that died left its
    // probe.
    let stray = plans.into_iter().filter(|(name, _)| *name != record.plan.path);
    garbage.objects.extend(stray.chain(probes).map(|(name, meta)| (name, meta.size)));
    let orphans = cuts::orphans(bucket).await?;
    garbage.objects.extend(orphans.garbage);
    garbage.maybe_running += orphans.maybe_running;
    Ok(garbage)
}

/// Deletes the found objects; `progress` receives the number of deleted objects.
///
/// # Errors
/// A failing store. Deleted objects stay deleted, and a second call deletes the rest.
pub async fn remove(
    bucket: &Location,
    garbage: &Garbage,
    mut progress: impl FnMut(u64),
) -> Result<(), StoreError> {
    let deletes = futures::stream::iter(&garbage.objects).map(|(name, _)| bucket.delete(name));
    let mut deletes = deletes.buffer_unordered(RECORDS_AT_ONCE);
    let mut gone = 0;
    while let Some(deleted) = deletes.next().await {
        // Another garbage collection may have deleted the object.
        deleted.or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })?;
        gone += 1;
        progress(gone);
    }
    drop(deletes);
    let aborts = futures::stream::iter(&garbage.uploads).map(|upload| bucket.abort_upload(upload));
    aborts.buffer_unordered(RECORDS_AT_ONCE).try_collect().await
}

/// Unfinished uploads below the job, or the reason why they are unknown.
async fn unfinished_uploads(bucket: &Location) -> Result<(Vec<Unfinished>, Option<String>), StoreError> {
    match bucket.unfinished_uploads().await {
        Ok(uploads) => Ok((uploads.unwrap_or_default(), None)),
        Err(error) if error.kind().is_some_and(|kind| kind.is_outage()) => Err(error),
        Err(error) => Ok((Vec::new(), Some(error.to_string()))),
    }
}

/// Probes of checks that died. Other objects in the folder are not capfilt's.
async fn probes(bucket: &Location) -> Result<Vec<(String, ObjectMeta)>, StoreError> {
    let listed: Result<Vec<_>, _> = bucket.list(object_keys::PROBES).try_collect().await;
    match listed {
        Err(error) if error.is_link() => {
            strays::pass_over(bucket, object_keys::PROBES, &error.to_string());
            Ok(Vec::new())
        }
        listed => Ok(listed?.into_iter().filter(|(name, _)| object_keys::is_probe(name)).collect()),
    }
}

type Objects = BTreeMap<ShardId, Vec<(AttemptId, String, u64)>>;

/// All objects of all attempts. Memory: one name per object.
async fn listed(bucket: &Location) -> Result<Objects, StoreError> {
    let mut objects = Objects::new();
    let mut list = bucket.list(object_keys::ATTEMPTS);
    while let Some((name, meta)) = list.try_next().await? {
        if let Some((shard, attempt)) = object_keys::parse_output(&name) {
            objects.entry(shard).or_default().push((attempt, name, meta.size));
        }
    }
    Ok(objects)
}

/// Attempts that have a commit of any number: earlier dataset versions consist of them.
async fn committed(bucket: &Location, listed: &Objects) -> Result<BTreeSet<AttemptId>, StoreError> {
    let mut commits: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
    let mut list = bucket.list(object_keys::COMMITS);
    while let Some((name, _)) = list.try_next().await? {
        if let Some((shard, _)) = object_keys::parse_commit(&name) {
            commits.entry(shard).or_default().push(name);
        }
    }
    let mut committed = BTreeSet::new();
    let mut unclear = Vec::new();
    for (shard, names) in commits {
        let attempts: BTreeSet<_> =
            listed.get(&shard).into_iter().flatten().map(|(attempt, _, _)| attempt).collect();
        // Each commit has a different attempt, so equal numbers of both need no reading of records.
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
