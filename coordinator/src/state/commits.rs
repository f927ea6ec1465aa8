//! Reads the current commit records, in plan order.

use bytes::Bytes;
use capfilt_schemas::{
    commit::Commit, hash::sha256_hex, job::JobDigest, object_keys, plan::Shard, plan::ShardId,
};
use capfilt_store::{CommitIndex, Location, RECORDS_AT_ONCE, StoreError, foreign};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

/// Commits that are checked before a job is resumed. All commits of an earlier job belong to that job, so a
/// few suffice.
const CHECKED: usize = 8;

/// A shard's result: the record and the digest of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardResult {
    /// Number of the commit.
    pub n: u32,
    /// SHA-256 of the commit's bytes.
    pub sha256: String,
    /// The commit.
    pub commit: Commit,
}

/// Reads the results of all committed shards, in plan order. Memory: the records being read.
///
/// # Errors
/// A failing store, and a record that is damaged, a copy of another record, or of another job.
pub fn read_all<'a>(
    bucket: &'a Location,
    plan: &'a [Shard],
    committed: &'a CommitIndex,
    job: Option<&'a JobDigest>,
) -> impl Stream<Item = Result<ShardResult, StoreError>> + 'a {
    let current = plan.iter().filter_map(|shard| Some((shard, *committed.get(&shard.id)?)));
    read_each(bucket, current, job).map_ok(|(_, result)| result)
}

/// Reads commits by their shards and numbers, in the same order, as [`read_all`] does.
pub(crate) fn read_each<'a>(
    bucket: &'a Location,
    numbered: impl IntoIterator<Item = (&'a Shard, u32)> + 'a,
    job: Option<&'a JobDigest>,
) -> impl Stream<Item = Result<(&'a Shard, ShardResult), StoreError>> + 'a {
    let read = move |(shard, n): (&'a Shard, u32)| async move {
        Ok((shard, read(bucket, &shard.id, n, job).await?))
    };
    futures::stream::iter(numbered).map(read).buffered(RECORDS_AT_ONCE)
}

/// Reads the current commit of a shard.
///
/// # Errors
/// As [`read_all`].
pub async fn read(
    bucket: &Location,
    shard: &ShardId,
    n: u32,
    job: Option<&JobDigest>,
) -> Result<ShardResult, StoreError> {
    let name = object_keys::commit(shard, n);
    let bytes: Bytes = bucket.read(&name).await?;
    let commit: Commit = bucket.parse_record(&name, &bytes)?;
    let object = || bucket.url_of(&name);
    if let Some(why) = job.and_then(|job| job.foreign(commit.job.as_ref())) {
        return Err(StoreError::Refused(foreign(&object(), &why)));
    }
    if object_keys::commit(&commit.shard, commit.n) != name {
        let original = object_keys::commit(&commit.shard, commit.n);
        return Err(StoreError::Refused(format!("{}: it is a copy of {original}; delete it", object())));
    }
    let misnamed =
        || commit.misnamed().map(|o| format!("it names {}, which is not an object of its attempt", o.path));
    if let Some(fault) = commit.fault().or_else(misnamed) {
        let next =
            "restore it from a copy, or delete it and run the job again: the shard is then executed again";
        return Err(StoreError::Refused(format!("{}: {fault}; {next}", object())));
    }
    Ok(ShardResult { n, sha256: sha256_hex(&bytes), commit })
}

/// Checks that a few commits, spread over the shards, belong to this job. Sealing checks all commits; this
/// check is earlier, before hours of work.
///
/// # Errors
/// A commit of another job, and a failing store. A damaged commit is not an error here.
pub(crate) async fn require_own(
    bucket: &Location,
    committed: &CommitIndex,
    job: Option<&JobDigest>,
) -> Result<(), StoreError> {
    let Some(job) = job else { return Ok(()) };
    let every = committed.len().div_ceil(CHECKED).max(1);
    let checks = committed.iter().step_by(every).map(|(shard, n)| async move {
        let name = object_keys::commit(shard, *n);
        match bucket.read_record::<Commit>(&name).await {
            Ok(commit) => match job.foreign(commit.job.as_ref()) {
                Some(why) => Err(StoreError::Refused(foreign(&bucket.url_of(&name), &why))),
                None => Ok(()),
            },
            Err(StoreError::Record { .. }) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    });
    futures::stream::iter(checks).buffer_unordered(CHECKED).try_collect().await
}
