//! Compares the ledger with plan, commit and settings: every row once and in order, verdicts by the
//! thresholds, equal tallies.

use super::table::{Batches, Faults};
use capfilt_schemas::{
    commit::{Commit, Output},
    ledger::{self, StoredRow, StoredScore, StoredText},
    plan::Shard,
    settings::{Filter, Settings},
    status::{RowStatus, TextStatus},
    tally::Tally,
    texts::SYNTHETIC,
    verdict::{admitted, verdicts},
};
use capfilt_store::{Location, StoreError};

/// Rows that the other tables must have, according to the ledger.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub kept: Vec<KeptRow>,
    /// Row numbers and statuses of quarantined rows.
    pub set_aside: Vec<(u64, RowStatus)>,
}

/// A row of the pairs table, without its image's bytes.
#[derive(Debug, PartialEq)]
pub(super) struct KeptRow {
    pub row: u64,
    pub key: Option<String>,
    pub image_sha256: Option<String>,
    pub size: (Option<u32>, Option<u32>),
    pub texts: Vec<Kept>,
}

/// A kept text.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub source: String,
    pub text: String,
    pub itm: f32,
    pub itc: f32,
    pub clip: Option<f32>,
}

pub(super) async fn check(
    bucket: &Location,
    output: &Output,
    shard: &Shard,
    commit: &Commit,
    settings: &Settings,
    faults: &mut Faults,
) -> Result<Expected, StoreError> {
    let mut reading =
        Reading { shard, settings, rows: 0, tally: Tally::default(), expected: Expected::default() };
    let Some(mut batches) = Batches::open(bucket, output, ledger::schema_of, faults).await? else {
        return Ok(reading.expected);
    };
    let is_version_1 = ledger::is_version_1(batches.schema());
    while let Some(batch) = batches.next(faults).await? {
        ledger::stored_rows(&batch).for_each(|row| reading.take(row, faults));
    }
    let (rows, planned) = (reading.rows, commit.rows);
    faults.add_if(rows != planned, || {
        format!("it has {rows} rows, the shard {planned}: a row is missing or doubled")
    });
    let tally = if is_version_1 { reading.tally.as_version_1() } else { reading.tally };
    faults.add_if(tally != commit.tally, || {
        "counted again, its rows do not give the tally of the commit".to_owned()
    });
    Ok(reading.expected)
}

struct Reading<'a> {
    shard: &'a Shard,
    settings: &'a Settings,
    rows: u64,
    tally: Tally,
    expected: Expected,
}

impl Reading<'_> {
    fn take(&mut self, stored: StoredRow, faults: &mut Faults) {
        let row = self.shard.first_row + self.rows;
        self.rows += 1;
        faults.add_if(stored.file != self.shard.file.path || stored.row != row, || {
            format!(
                "row {row} of {} was expected, row {} of {} was found: a row is missing or doubled",
                self.shard.file.path, stored.row, stored.file
            )
        });
        let Some(status) = RowStatus::parse(stored.status) else {
            faults.add(|| format!("row {row} has an unknown status: {}", stored.status));
            return;
        };
        self.tally.add_row(status);
        if status.is_quarantined() {
            self.expected.set_aside.push((row, status));
        }
        let texts = self.texts(row, status, &stored, faults);
        if status != RowStatus::Judged {
            faults.add_if(!texts.is_empty(), || format!("row {row} keeps a text although it is {status}"));
            return;
        }
        self.keep(row, &stored, texts);
    }

    /// Adds a judged row with its kept texts.
    fn keep(&mut self, row: u64, stored: &StoredRow, texts: Vec<Kept>) {
        if !texts.is_empty() {
            self.tally.pairs += 1;
            let text = |cell: Option<&str>| cell.map(str::to_owned);
            let (key, image_sha256) = (text(stored.key), text(stored.image_sha256));
            let size = (stored.width, stored.height);
            self.expected.kept.push(KeptRow { row, key, image_sha256, size, texts });
        }
    }

    /// The kept texts. Texts of judged rows are counted.
    fn texts(&mut self, row: u64, of: RowStatus, stored: &StoredRow, faults: &mut Faults) -> Vec<Kept> {
        let mut kept = Vec::new();
        let verdicts = verdicts_of(&stored.texts, self.settings);
        for (StoredText { source, text, status, score, .. }, should) in stored.texts.iter().zip(verdicts) {
            let Some(status) = TextStatus::parse(status) else {
                faults.add(|| format!("row {row} has a {source} text of an unknown status: {status}"));
                continue;
            };
            let is_scored = score.itm.is_some();
            faults.add_if(is_scored != (status == TextStatus::Judged), || {
                format!("row {row} has a {source} text that is {status}, with P(match) {:?}", score.itm)
            });
            check_verdict(row, source, *score, should, &self.settings.filter, faults);
            if of == RowStatus::Judged {
                self.tally.add_text(source, status, score.kept);
            }
            if score.kept {
                let (source, text) = ((*source).to_owned(), text.unwrap_or_default().to_owned());
                let (itm, itc) = (score.itm.unwrap_or(f32::NAN), score.itc.unwrap_or(f32::NAN));
                kept.push(Kept { source, text, itm, itc, clip: score.clip });
            }
        }
        kept
    }
}

/// Verdicts that follow from the scores: of each text of the input separately, of the captions together.
fn verdicts_of(texts: &[StoredText], settings: &Settings) -> Vec<bool> {
    let (filter, keep) = (&settings.filter, settings.captioner.keep);
    let itm =
        |text: &StoredText| admitted(text.score.itm, text.score.clip, filter.clip_threshold(text.source));
    let of = |text: &StoredText| verdicts(&[itm(text)], filter.threshold(text.source), None)[0];
    let captions: Vec<Option<f32>> = texts.iter().filter(|text| text.source == SYNTHETIC).map(itm).collect();
    let mut captions = verdicts(&captions, filter.threshold(SYNTHETIC), keep).into_iter();
    let verdict = |text: &StoredText| match text.source {
        SYNTHETIC => captions.next().unwrap_or_default(),
        _ => of(text),
    };
    texts.iter().map(verdict).collect()
}

/// Checks that a verdict follows from its scores.
fn check_verdict(
    row: u64,
    source: &str,
    score: StoredScore,
    should: bool,
    filter: &Filter,
    faults: &mut Faults,
) {
    let StoredScore { itm, clip, kept, .. } = score;
    faults.add_if(kept != should, || {
        let verdict = if kept { "kept" } else { "dropped" };
        let threshold = filter.threshold(source);
        let of_clip = filter.clip_threshold(source);
        let of_clip = of_clip.map(|least| format!("; CLIP score {clip:?} and threshold {least}"));
        let of_clip = of_clip.unwrap_or_default();
        format!(
            "row {row}: the {source} text is {verdict} with P(match) {itm:?} and threshold \
             {threshold}{of_clip}"
        )
    });
}
