//! Rows with their verdicts, for the output tables.

use crate::input::{ImageInput, SourceText};
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
    /// Texts of the input.
    pub texts: Vec<Vec<SourceText>>,
    /// The pass-through columns.
    pub passthrough: RecordBatch,
}
