//! Reads the current commit records, in plan order.

use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError, CommitIndex, RECORDS_AT_ONCE, foreign};
use capfilt_schemas::{commit::Commit, hash::sha256_hex, job::JobDigest, names, plan::Shard, plan::ShardId};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

/// Commits that are checked before a job is resumed. All commits of an earlier job belong to that job, so a
/// few suffice.
const CHECKED: usize = 8;

/// A shard's result: the record and the digest of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardResult {
    pub n: u32,
    pub sha256: String,
    pub commit: Commit,
}

/// Reads the results of all committed shards, in plan order. Memory: the records being read.
///
/// # Errors
/// A failing store, and a record that is damaged, a copy of another record, or of another job.
pub fn read_all<'a>(
    bucket: &'a Bucket,
    plan: &'a [Shard],
    committed: &'a CommitIndex,
    job: Option<&'a JobDigest>,
) -> impl Stream<Item = Result<ShardResult, BucketError>> + 'a {
    let named = plan.iter().filter_map(|shard| Some((shard, *committed.get(&shard.id)?)));
    let read = move |(shard, n): (&'a Shard, u32)| read(bucket, &shard.id, n, job);
    futures::stream::iter(named).map(read).buffered(RECORDS_AT_ONCE)
}

/// Reads the current commit of a shard.
///
/// # Errors
/// As [`read_all`].
pub(crate) async fn read(
    bucket: &Bucket,
    shard: &ShardId,
    n: u32,
    job: Option<&JobDigest>,
) -> Result<ShardResult, BucketError> {
    let name = names::commit(shard, n);
    let bytes: Bytes = bucket.read(&name).await?;
    let commit: Commit = bucket.parse_record(&name, &bytes)?;
    let object = || bucket.place.url_of(&name);
    if let Some(why) = job.and_then(|job| job.foreign(commit.job.as_ref())) {
        return Err(BucketError::Refused(foreign(&object(), &why)));
    }
    if names::commit(&commit.shard, commit.n) != name {
        let original = names::commit(&commit.shard, commit.n);
        return Err(BucketError::Refused(format!("{}: it is a copy of {original}; delete it", object())));
    }
    let misnamed =
        || commit.misnamed().map(|o| format!("it names {}, which is not an object of its attempt", o.path));
    if let Some(fault) = commit.fault().or_else(misnamed) {
        let next =
            "restore it from a copy, or delete it and run the job again: the shard is then executed again";
        return Err(BucketError::Refused(format!("{}: {fault}; {next}", object())));
    }
    Ok(ShardResult { n, sha256: sha256_hex(&bytes), commit })
}

/// Checks that a few commits, spread over the shards, belong to this job. Sealing checks all commits; this
/// check is earlier, before hours of work.
///
/// # Errors
/// A commit of another job, and a failing store. A damaged commit is not an error here.
pub(crate) async fn require_own(
    bucket: &Bucket,
    committed: &CommitIndex,
    job: Option<&JobDigest>,
) -> Result<(), BucketError> {
    let Some(job) = job else { return Ok(()) };
    let every = committed.len().div_ceil(CHECKED).max(1);
    let checks = committed.iter().step_by(every).map(|(shard, n)| async move {
        let name = names::commit(shard, *n);
        match bucket.read_record::<Commit>(&name).await {
            Ok(commit) => match job.foreign(commit.job.as_ref()) {
                Some(why) => Err(BucketError::Refused(foreign(&bucket.place.url_of(&name), &why))),
                None => Ok(()),
            },
            Err(BucketError::Record { .. }) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    });
    futures::stream::iter(checks).buffer_unordered(CHECKED).try_collect().await
}
