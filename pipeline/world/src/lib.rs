#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod draw;
pub mod files;
pub mod grammar;
pub mod noise;
pub mod scene;
pub mod vocabulary;
