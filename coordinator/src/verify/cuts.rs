//! Checks the cuts: each record names a version of the job, and its tables are unchanged.

use super::{Problem, shard::object_fault};
use crate::{
    cuts::{self, CutsError},
    manifest,
};
use capfilt_schemas::{cut::CutName, job::JobDigest, object_keys};
use capfilt_store::{Location, StoreError};

/// Remedy for any fault of a cut.
const AGAIN: &str = "delete its record and make the cut again with capfilt recut: no model is needed";

/// Problems of all cuts of a job.
pub(super) async fn check(bucket: &Location, job: Option<&JobDigest>) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    for name in cuts::names(bucket).await? {
        problems.extend(of_cut(bucket, &name, job).await?);
    }
    Ok(problems)
}

async fn of_cut(
    bucket: &Location,
    name: &CutName,
    job: Option<&JobDigest>,
) -> Result<Vec<Problem>, StoreError> {
    let object = object_keys::cut(name);
    let record = match cuts::read(bucket, name, job).await {
        Ok(stored) => stored.record,
        Err(CutsError::Location(error @ (StoreError::Record { .. } | StoreError::Refused(_)))) => {
            return Ok(vec![Problem::new(object, error.to_string(), AGAIN)]);
        }
        Err(CutsError::Location(error)) => return Err(error),
        // It was deleted since the listing.
        Err(_) => return Ok(Vec::new()),
    };
    let mut problems = Vec::new();
    let manifest = match manifest::read(bucket, record.manifest).await {
        Err(error) if error.is_not_found() || error.is_damage() => None,
        read => Some(read?),
    };
    if manifest.is_none_or(|manifest| manifest.digest != record.digest) {
        let what = format!("manifest {} does not have the data of the cut", record.manifest);
        problems.push(Problem::new(object, what, AGAIN));
    }
    for pairs in record.shards.iter().filter_map(|shard| shard.pairs.as_ref()) {
        let fault = object_fault(bucket, pairs, "the record of the cut").await?;
        problems.extend(fault.map(|what| Problem::new(&pairs.path, what, AGAIN)));
    }
    Ok(problems)
}
