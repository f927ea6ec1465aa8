#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod checkpoints;
pub mod control;
pub mod cuts;
pub mod dataset;
pub mod dispatch;
pub mod gc;
pub mod inspect;
pub mod job;
pub mod machine_memory;
pub mod manifest;
pub mod metrics;
pub mod outputs;
pub mod plan;
pub mod preflight;
pub mod retry;
pub mod state;
pub mod status;
mod verify;

pub use job::JobError;
pub use plan::{Plan, PlanError, plan};
pub use state::{JobState, OnInputChange, ShardState, Task};
pub use status::{
    CommitName, Counted, FailedAttempt, FailedShard, Kept, KeptTexts, States, Status, StatusReader,
    bottleneck, is_done, status,
};
pub use status::{ShardCell, ShardGrid, StageSeconds, Throughput, WorkerThroughput};
pub use verify::{Problem, Verification, verify};
