//! Quarantined rows, with the input values that a new attempt needs.

use super::judged_rows::JudgedRows;
use crate::input::{ImageInput, SourceText, TextInput};
use arrow::{array::RecordBatch, error::ArrowError};
use capfilt_schemas::quarantine::{self, QuarantineRow, QuarantineText};

pub(super) fn batch(rows: &JudgedRows) -> Result<RecordBatch, ArrowError> {
    let set_aside = (0..rows.ledger.len()).filter(|&i| rows.ledger[i].status.is_quarantined());
    quarantine::batch(&set_aside.map(|i| row(rows, i)).collect::<Vec<_>>())
}

fn row(rows: &JudgedRows, i: usize) -> QuarantineRow<'_> {
    let ledger = &rows.ledger[i];
    QuarantineRow {
        key: ledger.key.as_deref(),
        file: &ledger.file,
        row: ledger.row,
        status: ledger.status.as_str(),
        detail: ledger.detail.as_deref(),
        image: match &rows.images[i] {
            ImageInput::Bytes { bytes, .. } => Some(bytes),
            _ => None,
        },
        texts: rows.texts[i].iter().map(text).collect(),
    }
}

fn text(of: &SourceText) -> QuarantineText<'_> {
    let text = match &of.text {
        TextInput::Text(text) => Some(text.as_bytes()),
        TextInput::NotUtf8(bytes) => Some(&bytes[..]),
        TextInput::Missing | TextInput::TooMany => None,
    };
    QuarantineText { source: &of.source, text }
}
