#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod bootstrap;
pub mod commit;
pub mod control;
pub mod cut;
mod cut_name;
pub mod export;
pub mod failure;
pub mod hash;
pub mod hub_url;
pub mod job;
pub mod manifest;
pub mod model_files;
pub mod object_keys;
pub mod predicate;
pub mod queue_protocol;
pub mod record;
mod record_columns;
pub mod retry;
pub mod self_test;
pub mod settings;
pub mod size;
pub mod status;
mod tables;
pub mod tally;
pub mod verdict;
pub mod worker_protocol;

pub use record_columns::record_columns;
pub use tables::{first_lacking, ledger, pairs, plan, quarantine, texts};
