//! Judgements of a ledger.

use super::{Judgement, Text};
use capfilt_schemas::{ledger::LedgerRow, status::RowStatus, texts::LedgerText};

impl From<LedgerRow> for Judgement {
    fn from(row: LedgerRow) -> Self {
        let text = |text: LedgerText| Text {
            p_match: text.scored.map(|scored| scored.itm),
            kept: text.is_kept(),
            text: text.text.unwrap_or_default(),
        };
        let (synthetic, inputs): (Vec<_>, Vec<_>) = row.texts.into_iter().partition(LedgerText::is_synthetic);
        Self {
            key: row.key.unwrap_or_default(),
            status: row.status.to_string(),
            is_judged: row.status == RowStatus::Judged,
            web: inputs.into_iter().next().map(text).unwrap_or_default(),
            synthetic: synthetic.into_iter().map(text).collect(),
        }
    }
}
