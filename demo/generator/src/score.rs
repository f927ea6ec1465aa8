//! Quality of a cleaning job's verdicts, for data with known truth.

mod ledger;
mod lines;

use crate::{
    noise::Kind,
    parse::{Verdict, truth},
    table::Known,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Ledger row with the fields that the scores need.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// Key of the row.
    pub key: String,
    /// Status of the row in the ledger.
    pub status: String,
    /// Texts count only in judged rows.
    pub is_judged: bool,
    /// Web text of the row.
    pub web: Text,
    /// Captions of the row.
    pub synthetic: Vec<Text>,
}

/// A text and the filter's result.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// The text.
    pub text: String,
    /// P(match), if the filter scored the text.
    pub p_match: Option<f32>,
    /// Whether the filter kept the text.
    pub kept: bool,
}

/// Scores of a job. Rates are percentages of judged rows, with one decimal; `None` if there are no such rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Rows of all ledgers.
    pub rows: u64,
    /// Rows of the input files.
    pub input_rows: u64,
    /// Input rows that no ledger has, and rows that ledgers have more than once.
    pub missing_keys: u64,
    /// Rows whose key another row has.
    pub doubled_keys: u64,
    /// Rows per status.
    pub statuses: BTreeMap<String, u64>,
    /// Share of true web texts before filtering, in percent.
    pub web_true_raw: Option<f64>,
    /// Share of kept web texts, in percent.
    pub web_kept: Option<f64>,
    /// Precision: share of true texts among the kept ones.
    pub web_kept_true: Option<f64>,
    /// Recall: share of kept texts among the true ones.
    pub web_true_kept: Option<f64>,
    /// Share of kept web texts per kind, in percent.
    pub kept_by_kind: BTreeMap<Kind, Option<f64>>,
    /// Area under the ROC curve of P(match): how often a true text has a higher score than a swapped one.
    /// Four decimals.
    pub auc_swapped: Option<f64>,
    /// Area under the ROC curve of true against unrelated texts.
    pub auc_unrelated: Option<f64>,
    /// Share of true captions before filtering, in percent.
    pub synthetic_true_raw: Option<f64>,
    /// Share of kept captions, in percent.
    pub synthetic_kept: Option<f64>,
    /// Share of true captions among the kept ones, in percent.
    pub synthetic_kept_true: Option<f64>,
    /// Generated captions that do not follow the grammar.
    pub synthetic_unparsable: Option<f64>,
}

/// A row whose key no input file has.
#[derive(Debug, thiserror::Error)]
#[error(
    "the job has a row with key `{key}`, and none of the {rows} input rows has it; name all files that the \
    job read"
)]
pub struct UnknownKey {
    key: String,
    rows: usize,
}

/// Counts of one kind of text.
#[derive(Debug, Default)]
struct Texts {
    all: u64,
    are_true: u64,
    unparsable: u64,
    kept: u64,
    kept_true: u64,
}

impl Texts {
    fn add(&mut self, text: &Text, known: &Known) {
        let verdict = truth(&text.text, &known.scene);
        let is_true = verdict == Verdict::True;
        self.all += 1;
        self.are_true += u64::from(is_true);
        self.unparsable += u64::from(verdict == Verdict::Unparsable);
        self.kept += u64::from(text.kept);
        self.kept_true += u64::from(text.kept && is_true);
    }
}

/// Counts of a job, added row by row. Memory: the known rows, and 4 bytes per judged row.
#[derive(Debug)]
pub struct Score {
    known: HashMap<String, (Known, u64)>,
    statuses: BTreeMap<String, u64>,
    rows: u64,
    web: Texts,
    synthetic: Texts,
    by_kind: BTreeMap<Kind, Texts>,
    matches: BTreeMap<Kind, Vec<f32>>,
}

impl Score {
    /// Counts for a job over these rows, by key.
    pub fn of(known: impl IntoIterator<Item = (String, Known)>) -> Self {
        Self {
            known: known.into_iter().map(|(key, known)| (key, (known, 0))).collect(),
            statuses: BTreeMap::new(),
            rows: 0,
            web: Texts::default(),
            synthetic: Texts::default(),
            by_kind: BTreeMap::new(),
            matches: BTreeMap::new(),
        }
    }

    /// Adds a ledger row.
    ///
    /// # Errors
    /// The key of the row is not in the input.
    pub fn add(&mut self, row: &Judgement) -> Result<(), UnknownKey> {
        let rows = self.known.len();
        let known = self.known.get_mut(&row.key).ok_or_else(|| UnknownKey { key: row.key.clone(), rows })?;
        known.1 += 1;
        self.rows += 1;
        *self.statuses.entry(row.status.clone()).or_default() += 1;
        if row.is_judged {
            let known = &known.0;
            self.web.add(&row.web, known);
            self.by_kind.entry(known.kind).or_default().add(&row.web, known);
            self.matches.entry(known.kind).or_default().extend(row.web.p_match);
            row.synthetic.iter().for_each(|text| self.synthetic.add(text, known));
        }
        Ok(())
    }

    /// Whether a text is true of the picture of a row; false without the row.
    pub fn is_true(&self, key: &str, text: &str) -> bool {
        self.known.get(key).is_some_and(|(known, _)| truth(text, &known.scene) == Verdict::True)
    }

    /// Result over all rows so far.
    pub fn found(&self) -> Found {
        let seen = |is: fn(u64) -> bool| self.known.values().filter(|(_, times)| is(*times)).count() as u64;
        let (web, synthetic) = (&self.web, &self.synthetic);
        let of = |kind| self.matches.get(&kind).map_or(&[][..], Vec::as_slice);
        Found {
            rows: self.rows,
            input_rows: self.known.len() as u64,
            missing_keys: seen(|times| times == 0),
            doubled_keys: seen(|times| times > 1),
            statuses: self.statuses.clone(),
            web_true_raw: percent(web.are_true, web.all),
            web_kept: percent(web.kept, web.all),
            web_kept_true: percent(web.kept_true, web.kept),
            web_true_kept: percent(web.kept_true, web.are_true),
            kept_by_kind: self
                .by_kind
                .iter()
                .map(|(kind, texts)| (*kind, percent(texts.kept, texts.all)))
                .collect(),
            auc_swapped: auc(of(Kind::True), of(Kind::Swapped)),
            auc_unrelated: auc(of(Kind::True), of(Kind::Unrelated)),
            synthetic_true_raw: percent(synthetic.are_true, synthetic.all),
            synthetic_kept: percent(synthetic.kept, synthetic.all),
            synthetic_kept_true: percent(synthetic.kept_true, synthetic.kept),
            synthetic_unparsable: percent(synthetic.unparsable, synthetic.all),
        }
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (1000.0 * part as f64 / whole as f64).round() / 10.0)
}

/// Share of pairs in which a number of the first list is larger than one of the second; equal ones count half
/// (Mann and Whitney's U as a share). Four decimals.
fn auc(higher: &[f32], lower: &[f32]) -> Option<f64> {
    let mut all: Vec<(f32, bool)> =
        higher.iter().map(|p| (*p, true)).chain(lower.iter().map(|p| (*p, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut below) = (0.0, 0.0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let up = equal.iter().filter(|(_, is_higher)| *is_higher).count() as f64;
        let down = equal.len() as f64 - up;
        wins += up * (below + down / 2.0);
        below += down;
    }
    let pairs = higher.len() as f64 * lower.len() as f64;
    (pairs > 0.0).then(|| (wins / pairs * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Scene;

    fn known(kind: Kind) -> Known {
        let objects = r#"[{"size":"small","colour":"red","shape":"circle"}]"#;
        let scene = format!(r#"{{"version":1,"background":"gray","objects":{objects}}}"#);
        Known { kind, scene: Scene::parse(&scene).unwrap() }
    }

    fn row(key: &str, web: (&str, f32), synthetic: &[(&str, f32)]) -> Judgement {
        let text = |(text, p): (&str, f32)| Text { text: text.to_owned(), p_match: Some(p), kept: p >= 0.5 };
        Judgement {
            key: key.to_owned(),
            status: "judged".to_owned(),
            is_judged: true,
            web: text(web),
            synthetic: synthetic.iter().map(|caption| text(*caption)).collect(),
        }
    }

    #[test]
    fn every_number_equals_a_count_by_hand() {
        let kinds = [Kind::True, Kind::True, Kind::Swapped, Kind::Junk, Kind::Unrelated, Kind::True];
        let mut score = Score::of((0..).zip(kinds).map(|(i, kind)| (i.to_string(), known(kind))));
        for row in [
            row("0", ("A red circle.", 0.9), &[("a small red circle", 0.8), ("a large red circle", 0.7)]),
            row("1", ("a small red disc", 0.4), &[("circle red a", 0.1)]),
            row("2", ("a blue circle", 0.4), &[("a red ring", 0.2)]),
            row("3", ("img_1.jpg", 0.1), &[]),
            row("3", ("img_1.jpg", 0.1), &[]),
        ] {
            score.add(&row).unwrap();
        }
        let skipped =
            Judgement { key: "4".to_owned(), status: "image_missing".to_owned(), ..Judgement::default() };
        score.add(&skipped).unwrap();
        let found = score.found();
        assert_eq!((found.rows, found.input_rows, found.missing_keys, found.doubled_keys), (6, 6, 1, 1));
        assert_eq!(found.statuses, [("image_missing".to_owned(), 1), ("judged".to_owned(), 5)].into());
        assert_eq!((found.web_true_raw, found.web_kept), (Some(40.0), Some(20.0)));
        assert_eq!((found.web_kept_true, found.web_true_kept), (Some(100.0), Some(50.0)));
        let kept = [(Kind::True, Some(50.0)), (Kind::Swapped, Some(0.0)), (Kind::Junk, Some(0.0))];
        assert_eq!(found.kept_by_kind, kept.into());
        assert_eq!((found.auc_swapped, found.auc_unrelated), (Some(0.75), None));
        assert_eq!((found.synthetic_true_raw, found.synthetic_kept), (Some(25.0), Some(50.0)));
        assert_eq!((found.synthetic_kept_true, found.synthetic_unparsable), (Some(50.0), Some(25.0)));
        assert!(score.add(&row("6", ("", 0.0), &[])).unwrap_err().to_string().contains("key `6`"));
    }

    #[test]
    fn the_area_is_that_of_all_pairs_compared() {
        let (a, b) = ([0.1, 0.5, 0.5, 0.9, 0.7], [0.5, 0.2, 0.05, 0.9]);
        let wins: f64 = a
            .iter()
            .flat_map(|x| b.iter().map(move |y| f64::from(u8::from(x > y)) + if x == y { 0.5 } else { 0.0 }))
            .sum();
        assert_eq!(auc(&a, &b), Some((wins / 20.0 * 1e4).round() / 1e4));
        assert_eq!(auc(&b, &a).unwrap() + auc(&a, &b).unwrap(), 1.0);
    }

    #[test]
    fn a_share_of_zero_rows_is_none() {
        let json = serde_json::to_value(Score::of([]).found()).unwrap();
        assert_eq!(json["web_kept"], serde_json::Value::Null);
        assert_eq!(json["auc_swapped"], serde_json::Value::Null);
    }
}
