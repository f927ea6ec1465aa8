//! A job, with the inputs of its coordinator.

use super::{diagnosis::LoadModels, queue::JobQueue};
use crate::dispatch::Orders;
use capfilt_schemas::{job::JobRecord, plan::Shard};
use capfilt_store::Location;
use std::time::Duration;

/// Inputs of a coordinator.
pub struct CoordinatedJob<'a> {
    /// Host and process number.
    pub name: String,
    /// Location of the job.
    pub bucket: &'a Location,
    /// The job's record.
    pub record: &'a JobRecord,
    /// All shards of the job.
    pub plan: &'a [Shard],
    /// Queue of the job.
    pub queue: JobQueue,
    /// Controls of the job.
    pub orders: Orders,
    /// A shard without a heartbeat for this time is delivered to another worker pool.
    pub ack_wait: Duration,
    /// Called when a worker pool ended: the cause may not be local to its machine.
    pub load_models: LoadModels,
}
