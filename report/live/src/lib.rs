#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
#[cfg(feature = "arguments")]
pub mod arguments;
mod aside;
mod connections;
mod error;
mod events;
pub mod explain;
pub mod explain_image;
mod feed;
mod fields;
mod guard;
mod headers;
mod likeness;
mod page;
mod pictures;
mod report;
mod routes;
mod samples;
mod search;
mod sections;
mod server;
mod snapshot;

pub use access::{Access, Token};
pub use error::{AccessError, ServeError};
pub use likeness::TextVector;
pub use report::MakeReport;
pub use server::Server;
