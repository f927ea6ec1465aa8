//! Rows with their verdicts, as the tables take them.

use crate::input::{ImageInput, TextInput};
use arrow::array::RecordBatch;
use capfilt_schemas::ledger::LedgerRow;

/// Some consecutive rows with their verdicts and with what the tables take over from the input, row for row.
#[derive(Debug)]
pub struct JudgedRows {
    pub ledger: Vec<LedgerRow>,
    pub images: Vec<ImageInput>,
    pub texts: Vec<TextInput>,
    pub passthrough: RecordBatch,
}
