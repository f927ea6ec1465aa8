#![doc = include_str!("../README.md")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod batch_size;
pub mod blip;
pub mod checkpoints;
pub mod devices;
mod family;
pub mod finished_job;
pub mod forecast;
pub mod job_setup;
pub mod models;
pub mod plan_exit;
pub mod registry;
pub mod release;
pub mod self_test;
pub mod training_data;
pub mod worker_processes;

pub use family::ModelOptions;
