#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "arguments")]
pub mod arguments;
mod error;
pub mod gallery;
pub mod page;
mod report;
pub mod statistics;
mod truth_table;

pub use error::ReportError;
pub use gallery::Gallery;
pub use page::Page;
pub use report::{Written, html, write};
pub use statistics::{Options, Statistics};
pub use truth_table::{TruthError, TruthTable};
