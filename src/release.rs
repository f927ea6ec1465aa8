//! Every command about a job says when another release of the program planned it.

use crate::console;
use capfilt_bucket::Bucket;
use capfilt_coordinator::job;
use capfilt_schemas::job::JobRecord;

/// Warns of a job that another release planned.
pub fn warn(record: &JobRecord) {
    job::other_release(record).iter().for_each(|warning| console::line(format!("warning: {warning}")));
}

/// The same, of the job in a bucket. A record that does not read is for the command itself to report.
pub async fn warn_of(bucket: &Bucket) {
    if let Ok(Some(record)) = job::find(bucket).await {
        warn(&record);
    }
}
