#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod capfilt;
pub mod cleaned;
pub mod image;
pub mod image_file;
pub mod input;
pub mod model;
pub mod output;
pub mod prepare;
pub mod resize;
pub mod self_test;
pub mod text;
