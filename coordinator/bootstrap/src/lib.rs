#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod child;
mod digest;
mod run;
mod state;
mod step;

pub use run::{Ended, run};
pub use step::Made;
