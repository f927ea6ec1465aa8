//! Whole-program tests: the real binary on real Parquet, with real servers on loopback, and really killed.
//!
//! They are one binary, so that what they share is built, linked and run once, and two of them always run
//! side by side. `cargo test --release --test program chaos::` runs one file's.

#![allow(clippy::unwrap_used)]

mod support;

mod bad_files;
mod bad_input;
mod bootstrap;
mod captions;
mod captions_endpoint;
mod changed_inputs;
mod chaos;
mod checkpoints;
mod clock;
mod cluster;
mod cluster_access;
mod cluster_counts;
mod cluster_members;
mod cluster_queues;
mod cluster_servers;
mod cluster_waits;
mod columns;
mod compat;
mod compat_training;
mod demo;
mod demo_world;
mod dependencies;
mod deploy;
mod doors;
mod eval;
mod every_row_once;
mod export;
mod export_consumers;
mod export_exclusions;
mod export_kills;
mod export_options;
mod export_training;
mod files;
mod front_door;
mod hub;
mod image_folders;
mod imports;
mod init;
mod interrupt;
mod job_records;
mod kills;
mod links;
mod logs;
mod metrics;
mod module_order;
mod monitoring;
mod one_image;
mod out_of_memory;
mod output_lost;
mod pages;
mod python_package;
mod readers;
mod retry;
mod s3;
mod s3_contract;
mod s3_damage;
mod self_test;
mod sizes;
mod status;
mod store_advice;
mod store_azure;
mod store_google;
mod store_names;
mod store_outages;
mod store_settings;
mod systemic;
mod tail;
mod tar_indexes;
mod tar_pairs;
mod tars;
mod texts;
mod train;
mod vast_tars;
mod wheel;
mod work_queue;
mod worker_deaths;
