//! Skips invalid objects: names that the program does not write, damaged records, copies, records of another
//! job.
//!
//! A failure or a retry only affects what is tried again, so a job continues without an unreadable one: it is
//! reported once per process and skipped. Commits and manifests are the result and are never skipped.

use crate::{Location, StoreError, named_once::name_once};
use capfilt_schemas::record::{Record, RecordError};

/// Reports an invalid object, and the reason.
pub fn pass_over(bucket: &Location, name: &str, why: &str) {
    name_once(&bucket.url_of(name), why);
}

/// Reads a record. A record that is damaged, missing or misplaced (as `misplaced` decides) is reported, and
/// the result is `None`.
///
/// # Errors
/// A failing store, and a record of a newer version of the program, whose meaning this version cannot know.
pub async fn read<T: Record>(
    bucket: &Location,
    name: &str,
    misplaced: impl FnOnce(&T) -> Option<String>,
) -> Result<Option<T>, StoreError> {
    match bucket.read_record::<T>(name).await {
        Ok(record) => match misplaced(&record) {
            Some(why) => {
                pass_over(bucket, name, &why);
                Ok(None)
            }
            None => Ok(Some(record)),
        },
        Err(StoreError::Record { source: source @ RecordError::Malformed { .. }, .. }) => {
            pass_over(bucket, name, &source.to_string());
            Ok(None)
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
