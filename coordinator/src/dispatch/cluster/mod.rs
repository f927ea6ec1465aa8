//! Dispatch on many machines, over NATS JetStream: a replicated work queue that the worker pools share.
//!
//! The coordinator fills the queue with the plan minus the commits, watches the job and seals it. All its
//! state is also in the bucket: after the loss of the coordinator, or of all of NATS, the open shards are put
//! into the queue again. A worker pool keeps a shard by heartbeats; after the ack wait without a heartbeat,
//! JetStream delivers the shard to another pool.

mod cluster_progress;
mod connection;
mod consumer;
mod coordinated_job;
mod coordinator;
mod diagnosis;
mod joined_pool;
mod live_status;
mod liveness;
mod membership;
mod pool_reports;
mod queue;
mod queue_client;
mod queue_source;
mod server_contact;
mod streams;

pub use connection::{Connection, ConnectionError};
pub use coordinated_job::CoordinatedJob;
pub use coordinator::coordinate;
pub use diagnosis::{LoadModels, SharedFault};
pub use joined_pool::{JoinError, JoinedPool, queue_names};
pub use live_status::{Listener, Live, LiveWorker};
pub use queue::{Delivery, Depth, JobQueue};
pub use queue_source::{QueueSource, Reporter};
pub use streams::{JobStream, JobStreams};
