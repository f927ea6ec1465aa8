//! Counts of a shard: every input row is counted exactly once.

use crate::{
    ledger::LedgerRow,
    status::{RowStatus, TextStatus},
    texts::{SYNTHETIC, WEB},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts over a shard's ledger; a sum of tallies is a tally.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredTally")]
pub struct Tally {
    /// Input rows, by status.
    pub rows: BTreeMap<RowStatus, u64>,
    /// Texts of judged rows, by source.
    pub texts: BTreeMap<String, TextTally>,
    /// Judged rows that keep at least one text, which is the number of rows in the pairs table.
    pub pairs: u64,
}

/// Counts of the texts of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextTally {
    /// Texts by status.
    pub statuses: BTreeMap<TextStatus, u64>,
    /// Kept texts.
    pub kept: u64,
}

/// A tally as stored, by any version. Records of earlier programs have the four counts instead of `texts`:
/// one text of the input per row, and captions without statuses.
#[derive(Deserialize)]
struct StoredTally {
    rows: BTreeMap<RowStatus, u64>,
    #[serde(default)]
    texts: BTreeMap<String, TextTally>,
    pairs: u64,
    #[serde(default)]
    web: BTreeMap<TextStatus, u64>,
    #[serde(default)]
    web_kept: u64,
    #[serde(default)]
    synthetic: u64,
    #[serde(default)]
    synthetic_kept: u64,
}

impl From<StoredTally> for Tally {
    fn from(stored: StoredTally) -> Self {
        let StoredTally { rows, mut texts, pairs, web, web_kept, synthetic, synthetic_kept } = stored;
        if !web.is_empty() {
            texts.insert(WEB.to_owned(), TextTally { statuses: web, kept: web_kept });
        }
        if synthetic > 0 {
            let statuses = [(TextStatus::Judged, synthetic)].into();
            texts.insert(SYNTHETIC.to_owned(), TextTally { statuses, kept: synthetic_kept });
        }
        Self { rows, texts, pairs }
    }
}

impl TextTally {
    /// Number of texts.
    pub fn all(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Texts that the filter scored.
    pub fn judged(&self) -> u64 {
        self.statuses.get(&TextStatus::Judged).copied().unwrap_or(0)
    }

    /// Kept share of the judged texts, 0 to 1; `None` without a judged text.
    pub fn kept_share(&self) -> Option<f64> {
        let judged = self.judged();
        (judged > 0).then(|| self.kept as f64 / judged as f64)
    }
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

    /// Quarantined rows that point to a fault; links without an image are usual in web data.
    pub fn failed(&self) -> u64 {
        let failed = |status: &RowStatus| status.is_quarantined() && !status.is_without_image();
        self.rows.iter().filter(|(status, _)| failed(status)).map(|(_, n)| n).sum()
    }

    /// Kept texts, of the input and generated.
    pub fn kept(&self) -> (u64, u64) {
        let synthetic = self.texts.get(SYNTHETIC).map_or(0, |texts| texts.kept);
        (self.kept_total() - synthetic, synthetic)
    }

    fn kept_total(&self) -> u64 {
        self.texts.values().map(|texts| texts.kept).sum()
    }

    /// Whether the counts add up to `rows_in` input rows, kept texts do not exceed the judged ones, and every
    /// judged row has an entry of each text column.
    pub fn balances(&self, rows_in: u64) -> bool {
        let has_all = |(source, texts): (&String, &TextTally)| {
            texts.kept <= texts.judged() && (source == SYNTHETIC || texts.all() >= self.judged())
        };
        self.rows_total() == rows_in
            && self.texts.iter().all(has_all)
            && self.pairs <= self.judged()
            && self.pairs <= self.kept_total()
    }

    /// Counts a row of the ledger with its texts.
    pub fn add(&mut self, row: &LedgerRow) {
        self.add_row(row.status);
        if row.status == RowStatus::Judged {
            row.texts.iter().for_each(|text| self.add_text(&text.source, text.status, text.is_kept()));
            self.pairs += u64::from(row.keeps_a_text());
        }
    }

    /// Counts a row.
    pub fn add_row(&mut self, status: RowStatus) {
        *self.rows.entry(status).or_default() += 1;
    }

    /// Counts a text of a judged row.
    pub fn add_text(&mut self, source: &str, status: TextStatus, is_kept: bool) {
        let texts = self.of(source);
        *texts.statuses.entry(status).or_default() += 1;
        texts.kept += u64::from(is_kept);
    }

    fn of(&mut self, source: &str) -> &mut TextTally {
        // `entry` would copy the name for every text.
        if !self.texts.contains_key(source) {
            self.texts.insert(source.to_owned(), TextTally::default());
        }
        self.texts.get_mut(source).expect("it was just inserted")
    }

    /// The counts as records of version 1 have them: statuses of captions were not counted.
    #[must_use]
    pub fn as_version_1(mut self) -> Self {
        if let Some(captions) = self.texts.get_mut(SYNTHETIC) {
            captions.statuses = [(TextStatus::Judged, captions.all())].into();
        }
        self
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Tally) {
        for (status, n) in &other.rows {
            *self.rows.entry(*status).or_default() += n;
        }
        for (source, texts) in &other.texts {
            let sum = self.of(source);
            for (status, n) in &texts.statuses {
                *sum.statuses.entry(*status).or_default() += n;
            }
            sum.kept += texts.kept;
        }
        self.pairs += other.pairs;
    }

    /// Every count multiplied by a factor and rounded.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let scaled = |n: u64| (n as f64 * factor).round() as u64;
        let texts = |texts: &TextTally| TextTally {
            statuses: texts.statuses.iter().map(|(status, n)| (*status, scaled(*n))).collect(),
            kept: scaled(texts.kept),
        };
        Self {
            rows: self.rows.iter().map(|(status, n)| (*status, scaled(*n))).collect(),
            texts: self.texts.iter().map(|(source, of)| (source.clone(), texts(of))).collect(),
            pairs: scaled(self.pairs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(statuses: &[(TextStatus, u64)], kept: u64) -> TextTally {
        TextTally { statuses: statuses.iter().copied().collect(), kept }
    }

    fn tally() -> Tally {
        Tally {
            rows: [(RowStatus::Judged, 2), (RowStatus::ImageMissing, 1)].into(),
            texts: [
                ("caption".to_owned(), texts(&[(TextStatus::Judged, 1), (TextStatus::Empty, 1)], 1)),
                (SYNTHETIC.to_owned(), texts(&[(TextStatus::Judged, 2)], 1)),
            ]
            .into(),
            pairs: 2,
        }
    }

    #[test]
    fn a_tally_with_a_missing_or_an_extra_row_does_not_balance() {
        assert!(tally().balances(3));
        assert!(!tally().balances(2));
        assert!(!tally().balances(4));
        let with = |change: fn(&mut Tally)| {
            let mut tally = tally();
            change(&mut tally);
            tally.balances(3)
        };
        assert!(!with(|t| t.of("caption").kept = 2), "more texts kept than judged");
        assert!(!with(|t| t.pairs = 3), "more pairs than judged rows");
        assert!(!with(|t| t.add_row(RowStatus::Judged)), "a judged row without an entry of its text column");
        assert!(with(|t| t.add_text("caption", TextStatus::Judged, true)), "a list has several texts");
    }

    #[test]
    fn a_tally_of_version_1_is_read_as_the_sources_web_and_synthetic() {
        let stored = r#"{"rows":{"judged":2},"web":{"judged":1,"empty":1},"web_kept":1,"synthetic":2,
            "synthetic_kept":1,"pairs":2}"#;
        let read: Tally = serde_json::from_str(stored).unwrap();
        let web = texts(&[(TextStatus::Judged, 1), (TextStatus::Empty, 1)], 1);
        let synthetic = texts(&[(TextStatus::Judged, 2)], 1);
        assert_eq!(read.texts, [(WEB.to_owned(), web), (SYNTHETIC.to_owned(), synthetic)].into());
        assert_eq!((read.pairs, read.kept()), (2, (1, 1)));
        let again: Tally = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
        let mut counted = read.clone();
        counted.of(SYNTHETIC).statuses = [(TextStatus::Judged, 1), (TextStatus::Empty, 1)].into();
        assert_eq!(counted.as_version_1(), read);
    }

    #[test]
    fn a_sum_and_a_multiple_of_tallies_count_each_source() {
        let mut sum = tally();
        sum.merge(&tally());
        assert_eq!(sum, tally().scaled(2.0));
        assert_eq!(sum.texts["caption"].kept_share(), Some(1.0));
    }
}
