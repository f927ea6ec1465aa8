//! Warning that another release of the program planned a job.

use capfilt_console as console;
use capfilt_coordinator::job;
use capfilt_schemas::job::JobRecord;
use capfilt_store::Location;

/// Prints a warning if another release planned the job.
pub fn warn(record: &JobRecord) {
    job::other_release(record).iter().for_each(|warning| console::line(format!("warning: {warning}")));
}

/// Prints the warning for the job in a bucket. The command itself reports a record that cannot be read.
pub async fn warn_of(bucket: &Location) {
    if let Ok(Some(record)) = job::find(bucket).await {
        warn(&record);
    }
}
