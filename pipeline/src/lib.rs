#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod capfilt;
mod captions;
pub mod cleaned;
mod clip_scores;
pub mod cut;
pub mod frames;
pub mod framing;
pub mod image;
pub mod image_file;
pub mod image_hash;
pub mod input;
mod judging;
pub mod language;
pub mod model;
pub mod output;
pub mod prepare;
pub mod repetition;
pub mod resize;
mod rule;
pub mod self_test;
pub mod text;
