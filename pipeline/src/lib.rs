#![doc = include_str!("../README.md")]

pub mod capfilt;
pub mod cleaned;
pub mod image;
pub mod input;
pub mod known_answers;
pub mod model;
pub mod output;
pub mod prepare;
pub mod resize;
pub mod text;
