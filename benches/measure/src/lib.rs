#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod costs;
mod decode;
mod error;
mod floors;
mod median;
mod model;
mod rows;
mod timed_models;
mod trial;

pub use batch::images_per_second;
pub use decode::{DecodeSpeed, DecodeTrial, decode_speed};
pub use error::MeasureError;
pub use floors::Floors;
pub use model::{ModelSpeed, Part, model_speed};
pub use trial::ModelTrial;
