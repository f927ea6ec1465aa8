//! The dispatcher of many machines, over NATS JetStream: a replicated work queue that workers on any machine share.
//!
//! The coordinator fills the queue with the plan minus the commits, watches, and seals the job; it holds nothing that the
//! bucket does not. Losing it, or all of NATS, loses nothing: what is open is put into the queue again. A worker holds a
//! shard by saying that it works on it; when it says nothing for the ack wait, somebody else gets the shard.

mod contact;
mod coordinate;
mod lease;
mod link;
mod listen;
mod pull;
mod queue;
mod roster;
mod signs;
mod streams;
mod suspect;
mod view;

pub use coordinate::{Coordinated, coordinate};
pub use lease::{QueueFeed, Reporter};
pub use link::{Link, LinkError};
pub use listen::{Listener, Live, LiveWorker};
pub use queue::{Depth, JobQueue, Place};
pub use streams::{JobStream, JobStreams};
pub use suspect::{Broken, LoadModels};
