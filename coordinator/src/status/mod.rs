//! Status of a job for every reader of the bucket: [`status`] uses the counts and times of a sample of the
//! commits.

mod bottleneck;
mod commit_names;
mod dashboard;
mod failed_attempt;
mod job_status;
mod page;
mod sampling;
mod shards;
mod throughput;

pub use bottleneck::bottleneck;
pub use commit_names::CommitName;
pub use failed_attempt::FailedAttempt;
pub use job_status::{Counted, Kept, KeptTexts, States, Status, StatusReader, is_done, status};
pub use shards::{FailedShard, ShardCell, ShardGrid};
pub use throughput::{StageSeconds, Throughput, WorkerThroughput};
