//! Reads the retry records of a job.

use capfilt_schemas::{
    job::JobDigest,
    object_keys::{self, AttemptId},
    plan::ShardId,
    retry::{Repair, Retry},
};
use capfilt_store::{Location, StoreError, strays};
use futures::TryStreamExt as _;
use std::collections::{BTreeMap, BTreeSet};

/// Union of all retry records of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retries {
    /// Failed attempts that no longer count.
    pub forgiven: BTreeSet<AttemptId>,
    /// For each shard, the newest retry's request, and the number of the commit that fulfils it.
    pub repairs: BTreeMap<ShardId, (u32, Repair)>,
}

impl Retries {
    /// Repair that commit `commit_n` of a shard must make.
    pub fn repair(&self, shard: &ShardId, commit_n: u32) -> Option<&Repair> {
        self.repairs.get(shard).filter(|(n, _)| *n == commit_n).map(|(_, repair)| repair)
    }
}

/// Reads all retry records. A job has few.
pub(super) async fn read(bucket: &Location, job: Option<&JobDigest>) -> Result<Retries, StoreError> {
    let mut listed = bucket.list(object_keys::RETRIES);
    let mut numbers = BTreeSet::new();
    while let Some((name, meta)) = listed.try_next().await? {
        match object_keys::parse_retry(&name) {
            Some(n) => drop(numbers.insert(n)),
            None if meta.size > 0 => {
                strays::pass_over(bucket, &name, "the name is not that of a retry record")
            }
            None => {}
        }
    }
    let mut all = Retries::default();
    for n in numbers {
        let misplaced = |retry: &Retry| {
            let copied = || format!("it is a copy of {}", object_keys::retry(retry.n));
            (retry.n != n).then(copied).or_else(|| job?.foreign(retry.job.as_ref()))
        };
        let Some(retry) = strays::read(bucket, &object_keys::retry(n), misplaced).await? else { continue };
        all.forgiven.extend(retry.forgiven);
        let repairs = retry.repairs.into_iter().map(|one| (one.shard, (one.commit_n, retry.repair.clone())));
        all.repairs.extend(repairs);
    }
    Ok(all)
}
