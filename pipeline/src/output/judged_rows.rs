//! Rows with their verdicts, for the output tables.

use crate::input::{ImageInput, TextInput};
use arrow::array::RecordBatch;
use capfilt_schemas::ledger::LedgerRow;

/// Consecutive rows with their verdicts and, row for row, with the values that the tables copy from the
/// input.
#[derive(Debug)]
pub struct JudgedRows {
    /// Ledger rows.
    pub ledger: Vec<LedgerRow>,
    /// Images of the input.
    pub images: Vec<ImageInput>,
    /// Web texts of the input.
    pub texts: Vec<TextInput>,
    /// The pass-through columns.
    pub passthrough: RecordBatch,
}
