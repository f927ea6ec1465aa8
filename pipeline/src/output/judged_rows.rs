//! Rows with their verdicts, for the output tables.

use crate::input::{ImageInput, TextInput};
use arrow::array::RecordBatch;
use capfilt_schemas::ledger::LedgerRow;

/// Consecutive rows with their verdicts and, row for row, with the values that the tables copy from the
/// input.
#[derive(Debug)]
pub struct JudgedRows {
    pub ledger: Vec<LedgerRow>,
    pub images: Vec<ImageInput>,
    pub texts: Vec<TextInput>,
    pub passthrough: RecordBatch,
}
