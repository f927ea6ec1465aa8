#![doc = include_str!("../README.md")]

pub mod commit;
pub mod failure;
pub mod hash;
pub mod job;
pub mod ledger;
pub mod manifest;
pub mod names;
pub mod pairs;
pub mod pipe;
pub mod plan;
pub mod predicate;
pub mod quarantine;
pub mod settings;
pub mod size;
pub mod status;
pub mod tally;
