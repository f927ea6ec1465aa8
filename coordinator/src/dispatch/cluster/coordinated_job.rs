//! A job with what its coordinator needs.

use super::{diagnosis::LoadModels, queue::JobQueue};
use capfilt_bucket::Bucket;
use capfilt_schemas::{job::JobRecord, plan::Shard};
use std::time::Duration;

/// The parts of a job that is coordinated.
pub struct CoordinatedJob<'a> {
    /// Host and process number.
    pub name: String,
    pub bucket: &'a Bucket,
    pub record: &'a JobRecord,
    pub plan: &'a [Shard],
    pub queue: JobQueue,
    /// A shard whose worker has said nothing for so long is given to somebody else.
    pub ack_wait: Duration,
    /// Asked when a worker left: it may not be that machine's fault.
    pub load_models: LoadModels,
}
