//! State of a job, folded from the records in its bucket. No process keeps state besides it.
//!
//! Each file uses those before it: `job_record` and the records of `failures` and `retries`; [`poison_rows`],
//! the rows that end a worker process; [`Task`], the next attempt at a shard; [`commits`]; [`JobState`];
//! `input_changes`.

pub mod commits;
mod failures;
pub(crate) mod input_changes;
pub(crate) mod job_record;
mod job_state;
pub mod poison_rows;
mod retries;
mod task;

pub(crate) use failures::Failures;
pub use input_changes::OnInputChange;
pub use job_state::{JobState, ShardState};
pub use poison_rows::FailedAttempt;
pub use retries::Retries;
pub use task::Task;
