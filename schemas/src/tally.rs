//! Counts of a shard: every input row is counted exactly once.

use crate::status::{RowStatus, WebStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts over a shard's ledger; a sum of tallies is a tally.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Input rows, by status.
    pub rows: BTreeMap<RowStatus, u64>,
    /// Web texts of judged rows, by status.
    pub web: BTreeMap<WebStatus, u64>,
    /// Kept web texts of judged rows.
    pub web_kept: u64,
    /// Captions of judged rows.
    pub synthetic: u64,
    /// Kept captions of judged rows.
    pub synthetic_kept: u64,
    /// Judged rows that keep at least one text, which is the number of rows in the pairs table.
    pub pairs: u64,
}

impl Tally {
    /// Number of counted rows.
    pub fn rows_total(&self) -> u64 {
        self.rows.values().sum()
    }

    /// Rows that the models processed.
    pub fn judged(&self) -> u64 {
        self.count(RowStatus::Judged)
    }

    /// Rows with a status.
    pub fn count(&self, status: RowStatus) -> u64 {
        self.rows.get(&status).copied().unwrap_or(0)
    }

    /// Input rows that are in the quarantine table.
    pub fn quarantined(&self) -> u64 {
        self.rows.iter().filter(|(status, _)| status.is_quarantined()).map(|(_, n)| n).sum()
    }

    /// Whether the counts add up to `rows_in` input rows, and kept texts do not exceed the judged ones.
    pub fn balances(&self, rows_in: u64) -> bool {
        let web_judged = self.web.get(&WebStatus::Judged).copied().unwrap_or(0);
        self.rows_total() == rows_in
            && self.web.values().sum::<u64>() == self.judged()
            && self.web_kept <= web_judged
            && self.synthetic_kept <= self.synthetic
            && self.pairs <= self.judged()
            && self.pairs <= self.web_kept + self.synthetic_kept
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Tally) {
        for (status, n) in &other.rows {
            *self.rows.entry(*status).or_default() += n;
        }
        for (status, n) in &other.web {
            *self.web.entry(*status).or_default() += n;
        }
        self.web_kept += other.web_kept;
        self.synthetic += other.synthetic;
        self.synthetic_kept += other.synthetic_kept;
        self.pairs += other.pairs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_with_a_missing_or_an_extra_row_does_not_balance() {
        let tally = Tally {
            rows: [(RowStatus::Judged, 2), (RowStatus::ImageMissing, 1)].into(),
            web: [(WebStatus::Judged, 1), (WebStatus::Empty, 1)].into(),
            web_kept: 1,
            synthetic: 2,
            synthetic_kept: 1,
            pairs: 2,
        };
        assert!(tally.balances(3));
        assert!(!tally.balances(2));
        assert!(!tally.balances(4));
        assert!(!Tally { web_kept: 2, ..tally.clone() }.balances(3), "more web texts kept than judged");
        assert!(!Tally { pairs: 3, ..tally }.balances(3), "more pairs than judged rows");
    }
}
