#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adamw;
pub mod blocks;
pub mod checkpoint;
pub mod contrast;
pub mod data;
pub mod error;
pub mod language;
pub mod learner;
pub mod lineage;
mod lock;
pub mod matching;
pub mod metrics;
pub mod model_files;
pub mod momentum;
pub mod parameters;
pub mod plot;
pub mod report;
pub mod run;
pub mod schedule;
pub mod start;
mod tensors;
pub mod texts;
pub mod towers;
