//! Status of a job for every reader of the bucket: [`status`] uses the counts and times of a sample of the
//! commits.

mod job_status;
mod page;
mod sampling;
mod throughput;

pub use job_status::{Counted, Kept, KeptTexts, States, Status, StatusReader, is_done, status};
pub use throughput::{StageSeconds, Throughput, WorkerThroughput};
