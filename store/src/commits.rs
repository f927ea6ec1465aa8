//! Commits a shard, and lists the committed shards.

use crate::{Location, PutOutcome, StoreError, strays};
use capfilt_schemas::{commit::Commit, object_keys, plan::ShardId};
use futures::TryStreamExt as _;
use std::collections::BTreeMap;

/// Records read at the same time. Records are small, so latency is the limit: at 30 ms each and this number,
/// sealing reads 100,000 commits in half a minute. Memory: about 2 kB each.
pub const RECORDS_AT_ONCE: usize = 128;

/// Result of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// This attempt is the shard's result.
    Accepted,
    /// Another attempt was first; the objects of this attempt are orphans.
    Superseded(Box<Commit>),
}

/// For each committed shard, the number of its current commit.
pub type CommitIndex = BTreeMap<ShardId, u32>;

/// Makes an attempt the shard's result, unless another attempt is the result.
///
/// # Errors
/// A record with inconsistent counts, which is refused before anything is written; and a commit of another
/// job under the same name, which no attempt of this job can replace.
pub async fn commit(bucket: &Location, record: &Commit) -> Result<Committed, StoreError> {
    let name = object_keys::commit(&record.shard, record.n);
    if let Some(fault) = record.fault() {
        return Err(StoreError::Refused(format!(
            "shard {}: not committed, because {fault}; this is a bug",
            record.shard
        )));
    }
    match bucket.create_record(&name, record).await? {
        PutOutcome::Created => Ok(Committed::Accepted),
        PutOutcome::Exists(found) => {
            let other: Commit = bucket.parse_record(&name, &found)?;
            match record.job.as_ref().and_then(|job| job.foreign(other.job.as_ref())) {
                Some(why) => Err(StoreError::Refused(foreign(&bucket.url_of(&name), &why))),
                None => Ok(Committed::Superseded(Box::new(other))),
            }
        }
    }
}

/// Error text for a record in a job's folder that belongs to another job.
pub fn foreign(object: &str, why: &str) -> String {
    format!(
        "{object}: {why}; its results are not this job's: restore the other job's job.json to resume that \
         job, or move all its objects away from here, or set another job.url"
    )
}

/// A shard's current commit, as listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitEntry {
    /// Number of the commit: 0, or that of the last repair.
    pub n: u32,
    /// Time at which the store created the object, in milliseconds since 1970 by the store's clock; some
    /// stores count whole seconds.
    pub written_ms: i64,
}

/// Lists the current commits below `prefix`: of all shards, or of one. Sends about one list request per
/// thousand commits and opens no commit.
///
/// # Errors
/// A failing store.
pub async fn list_commits(bucket: &Location, prefix: &str) -> Result<CommitIndex, StoreError> {
    Ok(list_commit_entries(bucket, prefix)
        .await?
        .into_iter()
        .map(|(shard, listed)| (shard, listed.n))
        .collect())
}

/// Lists the current commits below `prefix`, with the times of their writes.
///
/// # Errors
/// A failing store.
pub async fn list_commit_entries(
    bucket: &Location,
    prefix: &str,
) -> Result<BTreeMap<ShardId, CommitEntry>, StoreError> {
    let fold = |mut entries: BTreeMap<ShardId, CommitEntry>,
                (name, meta): (String, object_store::ObjectMeta)| async move {
        if let Some((shard, n)) = object_keys::parse_commit(&name) {
            let listed = CommitEntry { n, written_ms: meta.last_modified.timestamp_millis() };
            let highest = entries.entry(shard).or_insert(listed);
            *highest = listed.max(*highest);
        } else if meta.size > 0 {
            // Some tools write empty objects as folder markers.
            strays::pass_over(bucket, &name, "the name is not that of a commit");
        }
        Ok(entries)
    };
    bucket.list(prefix).try_fold(BTreeMap::new(), fold).await
}
