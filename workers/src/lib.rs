#![doc = include_str!("../README.md")]

mod batcher;
mod budget;
mod clock;
mod decode;
mod decoders;
mod device;
mod failing;
mod fetch;
mod flow;
mod memory;
#[cfg(feature = "poison")]
mod poison;
mod recompute;
mod settled;
mod worker;
mod write;

pub use recompute::{Agreement, Recompute, RecomputeError};
pub use worker::{Worker, run};
