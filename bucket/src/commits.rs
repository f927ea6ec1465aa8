//! Committing a shard, and finding out which shards are.

use crate::{Bucket, BucketError, Creation, strays};
use bytes::Bytes;
use capfilt_schemas::{commit::Commit, names, plan::ShardId};
use futures::TryStreamExt as _;
use std::collections::BTreeMap;

/// How a commit ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// This attempt is the shard's result.
    Accepted,
    /// Another attempt was first; this one's objects are orphans.
    Superseded(Box<Commit>),
}

/// The number of the commit that counts, by shard.
pub type Results = BTreeMap<ShardId, u32>;

/// Makes an attempt the shard's result, unless another one is.
///
/// # Errors
/// Refuses a record whose books do not balance, before anything is written; and a commit of another job in this one's
/// place, which no attempt of this job can win against.
pub async fn commit(bucket: &Bucket, record: &Commit) -> Result<Committed, BucketError> {
    let name = names::commit(&record.shard, record.n);
    if let Some(fault) = record.fault() {
        return Err(BucketError::Refused(format!(
            "shard {}: not committed, since {fault}; this is a bug",
            record.shard
        )));
    }
    let bytes = serde_json::to_vec_pretty(record).expect("a commit record is plain data");
    match bucket.create(&name, Bytes::from(bytes)).await? {
        Creation::Created => Ok(Committed::Accepted),
        Creation::Exists(found) => {
            let other: Commit = bucket.parse_record(&name, &found)?;
            match record.job.as_ref().and_then(|job| job.foreign(other.job.as_ref())) {
                Some(why) => Err(BucketError::Refused(foreign(&bucket.place.url_of(&name), &why))),
                None => Ok(Committed::Superseded(Box::new(other))),
            }
        }
    }
}

/// What is said of a record that lies in a job's folder and belongs to another job.
pub fn foreign(object: &str, why: &str) -> String {
    format!(
        "{object}: {why}; its results are not this job's: put the other job's job.json back to go on with that one, or \
         move everything it left away from here, or take another job.url"
    )
}

/// A commit as a listing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    pub n: u32,
    /// When the store took it, in milliseconds since 1970 by the store's clock; some stores count whole seconds.
    pub written_ms: i64,
}

/// Lists the commits under a name's beginning, all of them or one shard's; about one list request per thousand, and
/// nothing is opened.
pub async fn results(bucket: &Bucket, under: &str) -> Result<Results, BucketError> {
    Ok(listed_results(bucket, under).await?.into_iter().map(|(shard, listed)| (shard, listed.n)).collect())
}

/// The same, with the times at which the commits that count were written.
pub async fn listed_results(bucket: &Bucket, under: &str) -> Result<BTreeMap<ShardId, Listed>, BucketError> {
    let fold = |mut results: BTreeMap<ShardId, Listed>, (name, meta): (String, object_store::ObjectMeta)| async move {
        if let Some((shard, n)) = names::parse_commit(&name) {
            let listed = Listed { n, written_ms: meta.last_modified.timestamp_millis() };
            let highest = results.entry(shard).or_insert(listed);
            *highest = listed.max(*highest);
        } else if meta.size > 0 {
            // Some tools leave empty objects named like folders.
            strays::pass_over(bucket, &name, "it is no commit's name");
        }
        Ok(results)
    };
    bucket.list(under).try_fold(BTreeMap::new(), fold).await
}
