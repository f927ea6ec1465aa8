//! Scores as lines for people.

use super::Found;
use crate::noise::Kind;
use std::fmt;

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, input_rows, missing_keys, doubled_keys, .. } = self;
        writeln!(out, "{rows} rows of {input_rows}: {missing_keys} missing, {doubled_keys} doubled")?;
        let shares = [
            ("web texts that are true, as they came", self.web_true_raw),
            ("web texts kept", self.web_kept),
            ("  of these true (precision)", self.web_kept_true),
            ("  of the true ones kept (recall)", self.web_true_kept),
        ];
        shares.into_iter().try_for_each(|(label, share)| line(out, label, &percent(share)))?;
        let kinds = Kind::ALL.into_iter().filter_map(|kind| Some((kind, *self.kept_by_kind.get(&kind)?)));
        let kinds: Vec<String> =
            kinds.map(|(kind, share)| format!("{} {}", kind.name(), percent(share).trim())).collect();
        line(out, "kept by kind of web text", &format!(" {}", kinds.join(", ")))?;
        line(out, "P(match), true above swapped (ROC-AUC)", &area(self.auc_swapped))?;
        line(out, "P(match), true above unrelated (ROC-AUC)", &area(self.auc_unrelated))?;
        let shares = [
            ("generated captions that are true", self.synthetic_true_raw),
            ("  without a statement to check", self.synthetic_unparsable),
            ("generated captions kept", self.synthetic_kept),
            ("  of these true (precision)", self.synthetic_kept_true),
        ];
        shares.into_iter().try_for_each(|(label, share)| line(out, label, &percent(share)))
    }
}

fn line(out: &mut fmt::Formatter<'_>, label: &str, value: &str) -> fmt::Result {
    writeln!(out, "{label:40} {value}")
}

fn percent(share: Option<f64>) -> String {
    share.map_or("    –".to_owned(), |share| format!("{share:5.1} %"))
}

fn area(area: Option<f64>) -> String {
    area.map_or(" –".to_owned(), |area| format!(" {area:.4}"))
}
