//! Reads the failure records of a job.

use capfilt_schemas::{
    failure::Failure,
    job::JobDigest,
    object_keys::{self, AttemptId},
    plan::ShardId,
};
use capfilt_store::{Location, RECORDS_AT_ONCE, StoreError, strays};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::{BTreeMap, HashMap};

/// Failed attempts of each shard, oldest first.
pub(crate) type Failures = BTreeMap<ShardId, Vec<Failure>>;

/// Lists the failure records below `prefix`, oldest first: each object's name and attempt.
pub(super) async fn list(bucket: &Location, prefix: &str) -> Result<Vec<(String, AttemptId)>, StoreError> {
    let mut listed = Vec::new();
    let mut objects = bucket.list(prefix);
    while let Some((name, meta)) = objects.try_next().await? {
        match object_keys::parse_failure(&name) {
            Some((_, attempt)) => listed.push((meta.last_modified, name, attempt)),
            None if meta.size > 0 => {
                strays::pass_over(bucket, &name, "the name is not that of a failure record")
            }
            None => {}
        }
    }
    listed.sort();
    Ok(listed.into_iter().map(|(_, name, attempt)| (name, attempt)).collect())
}

/// Reads the listed records, except those in `known`: a record never changes.
pub(super) async fn read(
    bucket: &Location,
    listed: &[(String, AttemptId)],
    known: &HashMap<&AttemptId, &Failure>,
    job: Option<&JobDigest>,
) -> Result<Failures, StoreError> {
    let read = |name, attempt| async move {
        match known.get(attempt).copied() {
            Some(failure) => Ok(Some(failure.clone())),
            None => strays::read(bucket, name, |failure: &Failure| misplaced(failure, name, job)).await,
        }
    };
    let reads = futures::stream::iter(listed).map(|(name, attempt)| read(name, attempt));
    // Boxed, because the compiler cannot see that the unboxed stream may move to another thread.
    let mut reads = reads.buffered(RECORDS_AT_ONCE).boxed();
    let mut failures = Failures::new();
    while let Some(failure) = reads.try_next().await? {
        if let Some(failure) = failure {
            failures.entry(failure.shard.clone()).or_default().push(failure);
        }
    }
    Ok(failures)
}

/// Reason why a failure record does not match its object's name.
fn misplaced(failure: &Failure, name: &str, job: Option<&JobDigest>) -> Option<String> {
    let is_copy = object_keys::failure(&failure.shard, &failure.attempt) != name;
    let copied = || format!("it is a copy of {}", object_keys::failure(&failure.shard, &failure.attempt));
    is_copy.then(copied).or_else(|| job?.foreign(failure.job.as_ref()))
}
