//! Compares the ledger with plan, commit and settings: every row once and in order, verdicts by the
//! thresholds, equal tallies.

use super::table::{Batches, Faults};
use capfilt_schemas::{
    commit::{Commit, Output},
    ledger::{self, StoredRow, StoredScore},
    pairs::Source,
    plan::Shard,
    settings::Settings,
    status::{RowStatus, WebStatus},
    tally::Tally,
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
    pub captions: Vec<Caption>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Caption {
    pub text: String,
    pub source: &'static str,
    pub itm: f32,
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
    let Some(mut batches) = Batches::open(bucket, output, &ledger::schema(), faults).await? else {
        return Ok(reading.expected);
    };
    while let Some(batch) = batches.next(faults).await? {
        ledger::stored_rows(&batch).for_each(|row| reading.take(row, faults));
    }
    let (rows, planned) = (reading.rows, shard.rows);
    faults.add_if(rows != planned, || {
        format!("it has {rows} rows, the shard {planned}: a row is missing or doubled")
    });
    faults.add_if(reading.tally != commit.tally, || {
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
        let statuses = (RowStatus::parse(stored.status), WebStatus::parse(stored.web_status));
        let (Some(status), Some(web_status)) = statuses else {
            faults.add(|| {
                format!("row {row} has an unknown status: {} / {}", stored.status, stored.web_status)
            });
            return;
        };
        *self.tally.rows.entry(status).or_default() += 1;
        if status.is_quarantined() {
            self.expected.set_aside.push((row, status));
        }
        let captions = self.captions(row, &stored, faults);
        if status != RowStatus::Judged {
            faults.add_if(!captions.is_empty(), || format!("row {row} keeps a text although it is {status}"));
            return;
        }
        *self.tally.web.entry(web_status).or_default() += 1;
        self.tally.synthetic += stored.synthetic.len() as u64;
        self.keep(row, &stored, captions);
    }

    /// Counts the kept texts of a judged row.
    fn keep(&mut self, row: u64, stored: &StoredRow, captions: Vec<Caption>) {
        let web_kept = captions.iter().filter(|caption| caption.source == Source::Web.as_str()).count();
        self.tally.web_kept += web_kept as u64;
        self.tally.synthetic_kept += (captions.len() - web_kept) as u64;
        if !captions.is_empty() {
            self.tally.pairs += 1;
            let text = |cell: Option<&str>| cell.map(str::to_owned);
            let (key, image_sha256) = (text(stored.key), text(stored.image_sha256));
            let size = (stored.width, stored.height);
            self.expected.kept.push(KeptRow { row, key, image_sha256, size, captions });
        }
    }

    /// The kept texts: the web text, then the synthetic ones.
    fn captions(&self, row: u64, stored: &StoredRow, faults: &mut Faults) -> Vec<Caption> {
        let filter = &self.settings.filter;
        let mut kept = Vec::new();
        let mut judge = |source: Source, text: &str, score: StoredScore, threshold: f64| {
            let source = source.as_str();
            check_verdict(row, source, score, threshold, faults);
            if score.kept {
                let itm = score.itm.unwrap_or(f32::NAN);
                kept.push(Caption { text: text.to_owned(), source, itm });
            }
        };
        judge(Source::Web, stored.web_text.unwrap_or_default(), stored.web_score, filter.web_threshold);
        for caption in &stored.synthetic {
            judge(Source::Synthetic, caption.text, caption.score, filter.synthetic_threshold);
        }
        kept
    }
}

/// Checks that a verdict follows from its score: kept if P(match) is at least the threshold, and never
/// without a score.
fn check_verdict(row: u64, source: &str, score: StoredScore, threshold: f64, faults: &mut Faults) {
    let StoredScore { itm, kept, .. } = score;
    let should = itm.is_some_and(|itm| f64::from(itm) >= threshold);
    faults.add_if(kept != should, || {
        let verdict = if kept { "kept" } else { "dropped" };
        format!("row {row}: the {source} text is {verdict} with P(match) {itm:?} and threshold {threshold}")
    });
}
