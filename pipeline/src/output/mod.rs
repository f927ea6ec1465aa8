//! Conversion of ledger rows to the three tables of an attempt, and of the ledger to rows.

mod features;
mod hashing_writer;
mod json_values;
mod judged_rows;
mod ledger_reader;
mod pairs_table;
mod pairs_tar;
mod pairs_writer;
mod quarantine_table;
mod upload;
mod writer;

pub use features::huggingface;
pub use hashing_writer::WriteError;
pub use json_values::json_values;
pub use judged_rows::JudgedRows;
pub(crate) use ledger_reader::open_ledger;
pub use ledger_reader::{LedgerError, Sought, each_of_ledger, find_in_ledger, read_ledger};
pub use pairs_writer::PairsWriter;
pub use writer::{ShardWriter, Written};
