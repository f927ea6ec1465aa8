//! What anyone who can read the bucket learns of a job: [`status`], from counts and times of a sample of its
//! commits.

mod job_status;
mod sampling;
mod throughput;

pub use job_status::{Counted, Kept, States, Status, StatusReader, is_done, status};
pub use throughput::{StageSeconds, Throughput, WorkerThroughput};
