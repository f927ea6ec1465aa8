//! From ledger rows to the three tables of an attempt.

mod features;
mod ledger_table;
mod pairs_table;
mod quarantine_table;
mod upload;
mod writer;

pub use upload::WriteError;
pub use writer::{JudgedRows, ShardWriter, Written};
