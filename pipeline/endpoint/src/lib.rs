#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod answer;
mod captioner;
mod client;
mod error;
mod images;
mod options;
mod patience;
mod request;

pub use captioner::EndpointCaptioner;
pub use error::EndpointError;
pub use options::{ADDRESS, EndpointOptions, Sampling};
