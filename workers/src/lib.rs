#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod batcher;
mod decode;
mod decoders;
mod device;
mod failure_budget;
mod fault;
mod fetch;
mod flow;
mod memory;
pub mod parent_pipes;
#[cfg(feature = "poison")]
mod poison;
mod recompute;
mod recorded_captions;
mod recut;
mod skip_list;
mod stage_timings;
mod worker;
mod write;

pub use recompute::{Agreement, Recompute, RecomputeError};
pub use recut::{Recut, RecutError, ShardLedger};
pub use worker::{StartError, Worker, run};
