//! The dispatcher of many machines, over NATS JetStream: a replicated work queue that workers on any machine
//! share.
//!
//! The coordinator fills the queue with the plan minus the commits, watches, and seals the job; it holds
//! nothing that the bucket does not. Losing it, or all of NATS, loses nothing: what is open is put into the
//! queue again. A worker holds a shard by saying that it works on it; when it says nothing for the ack wait,
//! somebody else gets the shard.

mod cluster_progress;
mod connection;
mod consumer;
mod coordinated_job;
mod coordinator;
mod diagnosis;
mod live_status;
mod liveness;
mod membership;
mod queue;
mod queue_client;
mod server_contact;
mod streams;

pub use connection::{Connection, ConnectionError};
pub use coordinated_job::CoordinatedJob;
pub use coordinator::coordinate;
pub use diagnosis::{LoadModels, SharedFault};
pub use live_status::{Listener, Live, LiveWorker};
pub use queue::{Delivery, Depth, JobQueue};
pub use queue_client::{QueueSource, Reporter};
pub use streams::{JobStream, JobStreams};
