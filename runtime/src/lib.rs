#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod batch_size;
pub mod blip;
pub mod checkpoints;
pub mod clip;
pub mod cluster;
pub mod device_process;
pub mod devices;
pub mod endpoint;
mod family;
pub mod finished_job;
pub mod forecast;
pub mod job_check;
mod job_progress;
pub mod job_setup;
pub mod local_job;
pub mod metrics;
#[cfg(feature = "arguments")]
pub mod model_arguments;
pub mod models;
pub mod open_job;
pub mod plan_exit;
pub mod recompute;
pub mod recut;
pub mod registry;
pub mod release;
pub mod self_test;
pub mod settings_file;
pub mod status_display;
pub mod text_vector;
#[cfg(feature = "arguments")]
pub mod training_arguments;
pub mod training_data;
pub mod version;
pub mod worker_processes;

pub use family::ModelOptions;
