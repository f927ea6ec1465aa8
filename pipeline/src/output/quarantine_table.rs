//! Quarantined rows, with the input values that a new attempt needs.

use super::judged_rows::JudgedRows;
use crate::input::{ImageInput, TextInput};
use arrow::{
    array::{ArrayRef, LargeBinaryArray, RecordBatch, StringArray, UInt64Array},
    error::ArrowError,
};
use capfilt_schemas::{ledger::LedgerRow, quarantine::schema};
use std::sync::Arc;

pub(super) fn batch(rows: &JudgedRows) -> Result<RecordBatch, ArrowError> {
    let set_aside: Vec<usize> =
        (0..rows.ledger.len()).filter(|&i| rows.ledger[i].status.is_quarantined()).collect();
    let texts = |cell: fn(&LedgerRow) -> Option<&str>| -> ArrayRef {
        Arc::new(set_aside.iter().map(|&i| cell(&rows.ledger[i])).collect::<StringArray>())
    };
    let image = |i: &usize| match &rows.images[*i] {
        ImageInput::Bytes { bytes, .. } => Some(bytes.as_ref()),
        _ => None,
    };
    let text = |i: &usize| match &rows.texts[*i] {
        TextInput::Text(text) => Some(text.as_bytes()),
        TextInput::NotUtf8(bytes) => Some(bytes.as_ref()),
        TextInput::Missing => None,
    };
    let columns: Vec<ArrayRef> = vec![
        texts(|row| row.key.as_deref()),
        texts(|row| Some(&row.file)),
        Arc::new(set_aside.iter().map(|&i| rows.ledger[i].row).collect::<UInt64Array>()),
        texts(|row| Some(row.status.as_str())),
        texts(|row| row.detail.as_deref()),
        Arc::new(set_aside.iter().map(image).collect::<LargeBinaryArray>()),
        Arc::new(set_aside.iter().map(text).collect::<LargeBinaryArray>()),
    ];
    RecordBatch::try_new(schema(), columns)
}
