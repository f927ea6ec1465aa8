//! Objects that count for nothing: names that the program does not write, damaged records, copies, records of
//! another job.
//!
//! A failure or a retry only says what may be tried again, so a job goes on without one that cannot be read.
//! It is named, once in a process, and passed over. Not so commits and manifests: they are the result.

use crate::{Bucket, BucketError, named_once::name_once};
use capfilt_schemas::record::{Record, RecordError};

/// Names an object that counts for nothing, and why.
pub fn pass_over(bucket: &Bucket, name: &str, why: &str) {
    name_once(&bucket.place.url_of(name), why);
}

/// Reads a record, or names it and gives `None` when it is damaged, gone, or misplaced for the reason the
/// caller finds.
///
/// # Errors
/// When the store fails, and when a newer version of the program wrote the record: then this one cannot know
/// what counts.
pub async fn read<T: Record>(
    bucket: &Bucket,
    name: &str,
    misplaced: impl FnOnce(&T) -> Option<String>,
) -> Result<Option<T>, BucketError> {
    match bucket.read_record::<T>(name).await {
        Ok(record) => match misplaced(&record) {
            Some(why) => {
                pass_over(bucket, name, &why);
                Ok(None)
            }
            None => Ok(Some(record)),
        },
        Err(BucketError::Record { source: source @ RecordError::Malformed { .. }, .. }) => {
            pass_over(bucket, name, &source.to_string());
            Ok(None)
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
