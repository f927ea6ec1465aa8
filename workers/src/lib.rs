#![doc = include_str!("../README.md")]

mod batcher;
mod budget;
mod clock;
mod decode;
mod device;
mod failing;
mod fetch;
mod worker;
mod write;

pub use worker::{Worker, run};
