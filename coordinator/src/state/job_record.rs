//! Reads `job.json`.

use capfilt_bucket::{Bucket, BucketError};
use capfilt_schemas::{
    job::{JobDigest, JobRecord},
    names,
};

/// The job's record, or `None` without a job.
///
/// # Errors
/// A failing store, and an object that is not a job record.
pub async fn find(bucket: &Bucket) -> Result<Option<JobRecord>, BucketError> {
    Ok(find_with_digest(bucket).await?.map(|(record, _)| record))
}

/// The digest that every record of the job carries, or `None` without a job.
///
/// # Errors
/// A failing store.
pub async fn digest(bucket: &Bucket) -> Result<Option<JobDigest>, BucketError> {
    Ok(bucket.read_if_there(names::JOB).await?.map(|bytes| JobDigest::of(&bytes)))
}

/// The job's record and its digest, or `None` without a job.
///
/// # Errors
/// As [`find`].
pub async fn find_with_digest(bucket: &Bucket) -> Result<Option<(JobRecord, JobDigest)>, BucketError> {
    let Some(bytes) = bucket.read_if_there(names::JOB).await? else { return Ok(None) };
    let record: JobRecord = bucket.parse_record(names::JOB, &bytes)?;
    // The input and the models may need other credentials than the job's bucket.
    capfilt_bucket::add_stores(&record.settings.stores);
    Ok(Some((record, JobDigest::of(&bytes))))
}
