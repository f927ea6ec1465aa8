//! Reads `job.json`.

use capfilt_schemas::{
    job::{JobDigest, JobRecord},
    object_keys,
};
use capfilt_store::{Location, StoreError};

/// The job's record, or `None` without a job.
///
/// # Errors
/// A failing store, and an object that is not a job record.
pub async fn find(bucket: &Location) -> Result<Option<JobRecord>, StoreError> {
    Ok(find_with_digest(bucket).await?.map(|(record, _)| record))
}

/// The digest that every record of the job carries, or `None` without a job.
///
/// # Errors
/// A failing store.
pub async fn digest(bucket: &Location) -> Result<Option<JobDigest>, StoreError> {
    Ok(bucket.read_if_there(object_keys::JOB).await?.map(|bytes| JobDigest::of(&bytes)))
}

/// The job's record and its digest, or `None` without a job.
///
/// # Errors
/// As [`find`].
pub async fn find_with_digest(bucket: &Location) -> Result<Option<(JobRecord, JobDigest)>, StoreError> {
    let Some(bytes) = bucket.read_if_there(object_keys::JOB).await? else { return Ok(None) };
    let record: JobRecord = bucket.parse_record(object_keys::JOB, &bytes)?;
    // The input and the models may need other credentials than the job's bucket.
    capfilt_store::add_stores(&record.settings.stores);
    Ok(Some((record, JobDigest::of(&bytes))))
}
