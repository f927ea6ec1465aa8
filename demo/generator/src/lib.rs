#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod clip;
mod colours;
pub mod draw;
pub mod event;
pub mod files;
pub mod grammar;
pub mod job;
mod jpeg;
mod junk;
pub mod noise;
pub mod parse;
pub mod questions;
mod random;
pub mod scene;
pub mod score;
mod shapes;
pub mod sheet;
mod source;
pub mod statements;
mod table;
mod truth_table;
pub mod vocabulary;

pub use table::{Known, KnownError, ListError, known, parquet_files};
pub use truth_table::{TruthTable, WriteError};
