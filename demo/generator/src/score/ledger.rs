//! Judgements of a ledger.

use super::{Judgement, Text};
use capfilt_schemas::{
    ledger::{LedgerRow, Scored},
    status::RowStatus,
};

impl From<LedgerRow> for Judgement {
    fn from(row: LedgerRow) -> Self {
        let text = |text: String, scored: Option<Scored>| Text {
            text,
            p_match: scored.map(|scored| scored.itm),
            kept: scored.is_some_and(|scored| scored.kept),
        };
        Self {
            key: row.key.unwrap_or_default(),
            status: row.status.to_string(),
            is_judged: row.status == RowStatus::Judged,
            web: text(row.web_text.unwrap_or_default(), row.web_score),
            synthetic: row.synthetic.into_iter().map(|caption| text(caption.text, caption.scored)).collect(),
        }
    }
}
