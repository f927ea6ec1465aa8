#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod create_contract;
mod fault;
mod faulty_store;
pub mod hub;
mod script;

pub use fault::{Cause, Fault};
pub use faulty_store::FaultyStore;
pub use script::Request;
