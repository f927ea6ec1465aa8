#![doc = include_str!("../README.md")]

mod changed;
pub mod check;
pub mod cleaned;
mod columns;
pub mod commits;
pub mod crashes;
mod cut;
pub mod dispatch;
mod faults;
mod footer;
pub mod gc;
pub mod input;
pub mod job;
pub mod machine_memory;
pub mod manifest;
pub mod metrics;
pub mod outputs;
mod pace;
mod plan;
mod plan_check;
pub mod plan_table;
pub mod retry;
mod sample;
mod standing;
mod status;
mod task;
mod verify;

pub use changed::OnChange;
pub use job::JobError;
pub use pace::{Pace, StageSeconds, WorkerPace};
pub use plan::{Plan, PlanError, plan};
pub use standing::{ShardState, Standing, standing, standing_of};
pub use status::{Counted, Kept, States, Status, StatusReader, is_done, status};
pub use task::Task;
pub use verify::{Problem, Verification, verify};
