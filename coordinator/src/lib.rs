#![doc = include_str!("../README.md")]

pub mod check;
mod columns;
pub mod commits;
mod cut;
pub mod dispatch;
mod faults;
mod footer;
pub mod input;
pub mod job;
pub mod manifest;
mod plan;
pub mod plan_table;
mod standing;
mod status;
mod verify;

pub use job::JobError;
pub use plan::{Plan, PlanError, plan};
pub use standing::{ShardState, Standing, standing};
pub use status::{Kept, States, Status, status};
pub use verify::{Problem, Verification, verify};
