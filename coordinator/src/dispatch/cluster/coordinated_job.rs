//! A job, with the inputs of its coordinator.

use super::{diagnosis::LoadModels, queue::JobQueue};
use capfilt_schemas::{job::JobRecord, plan::Shard};
use capfilt_store::Location;
use std::time::Duration;

/// Inputs of a coordinator.
pub struct CoordinatedJob<'a> {
    /// Host and process number.
    pub name: String,
    pub bucket: &'a Location,
    pub record: &'a JobRecord,
    pub plan: &'a [Shard],
    pub queue: JobQueue,
    /// A shard without a heartbeat for this time is delivered to another worker pool.
    pub ack_wait: Duration,
    /// Called when a worker pool ended: the cause may not be local to its machine.
    pub load_models: LoadModels,
}
