//! Compares the ledger with plan, commit and settings: every row once and in order, verdicts by the
//! thresholds, equal tallies.

use super::table::{Batches, Faults};
use arrow::{
    array::{Array, AsArray as _, BooleanArray, Float32Array, RecordBatch, StringArray, StructArray},
    datatypes::{Float32Type, UInt32Type, UInt64Type},
};
use capfilt_schemas::{
    commit::{Commit, Output},
    ledger,
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
        reading.take(&batch, faults);
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

/// Columns of one batch.
struct Columns<'a> {
    key: &'a StringArray,
    image_sha256: &'a StringArray,
    status: &'a StringArray,
    web_text: &'a StringArray,
    web_status: &'a StringArray,
    web_itm: &'a Float32Array,
    web_kept: &'a BooleanArray,
}

fn text(array: &StringArray, row: usize) -> Option<String> {
    array.is_valid(row).then(|| array.value(row).to_owned())
}

impl Reading<'_> {
    fn take(&mut self, batch: &RecordBatch, faults: &mut Faults) {
        let column = |name: &str| {
            batch.column_by_name(name).expect("the columns were checked when the table was opened")
        };
        let texts = |name: &str| column(name).as_string::<i32>();
        let columns = Columns {
            key: texts("key"),
            image_sha256: texts("image_sha256"),
            status: texts("status"),
            web_text: texts("web_text"),
            web_status: texts("web_status"),
            web_itm: column("web_itm").as_primitive::<Float32Type>(),
            web_kept: column("web_kept").as_boolean(),
        };
        let (files, rows) = (texts("file"), column("row").as_primitive::<UInt64Type>());
        let widths = column("width").as_primitive::<UInt32Type>();
        let heights = column("height").as_primitive::<UInt32Type>();
        let synthetic = column("synthetic").as_list::<i32>();
        for i in 0..batch.num_rows() {
            let row = self.shard.first_row + self.rows;
            self.rows += 1;
            faults.add_if(files.value(i) != self.shard.file.path || rows.value(i) != row, || {
                let (file, found) = (files.value(i), rows.value(i));
                format!(
                    "row {row} of {} was expected, row {found} of {file} was found: a row is missing or \
                     doubled",
                    self.shard.file.path
                )
            });
            let size =
                (widths.is_valid(i).then(|| widths.value(i)), heights.is_valid(i).then(|| heights.value(i)));
            let captions = synthetic.value(i);
            self.take_row(row, &columns, i, captions.as_struct(), size, faults);
        }
    }

    fn take_row(
        &mut self,
        row: u64,
        columns: &Columns<'_>,
        i: usize,
        synthetic: &StructArray,
        size: (Option<u32>, Option<u32>),
        faults: &mut Faults,
    ) {
        let status = RowStatus::parse(columns.status.value(i));
        let web_status = WebStatus::parse(columns.web_status.value(i));
        let (Some(status), Some(web_status)) = (status, web_status) else {
            faults.add(|| {
                format!(
                    "row {row} has an unknown status: {} / {}",
                    columns.status.value(i),
                    columns.web_status.value(i)
                )
            });
            return;
        };
        *self.tally.rows.entry(status).or_default() += 1;
        if status.is_quarantined() {
            self.expected.set_aside.push((row, status));
        }
        let captions: Vec<Caption> = self
            .web(row, columns, i, faults)
            .into_iter()
            .chain(self.synthetic(row, synthetic, faults))
            .collect();
        if status != RowStatus::Judged {
            faults.add_if(!captions.is_empty(), || format!("row {row} keeps a text although it is {status}"));
            return;
        }
        *self.tally.web.entry(web_status).or_default() += 1;
        self.tally.synthetic += synthetic.len() as u64;
        let web_kept = captions.iter().filter(|caption| caption.source == Source::Web.as_str()).count();
        self.tally.web_kept += web_kept as u64;
        self.tally.synthetic_kept += (captions.len() - web_kept) as u64;
        if !captions.is_empty() {
            self.tally.pairs += 1;
            let (key, image_sha256) = (text(columns.key, i), text(columns.image_sha256, i));
            self.expected.kept.push(KeptRow { row, key, image_sha256, size, captions });
        }
    }

    /// The web text, if it is kept.
    fn web(&self, row: u64, columns: &Columns<'_>, i: usize, faults: &mut Faults) -> Option<Caption> {
        let itm = columns.web_itm.is_valid(i).then(|| columns.web_itm.value(i));
        let kept = columns.web_kept.is_valid(i) && columns.web_kept.value(i);
        judge(row, "web text", itm, kept, self.settings.filter.web_threshold, faults);
        let text = text(columns.web_text, i).unwrap_or_default();
        kept.then(|| Caption { text, source: Source::Web.as_str(), itm: itm.unwrap_or(f32::NAN) })
    }

    /// The kept synthetic texts.
    fn synthetic(&self, row: u64, captions: &StructArray, faults: &mut Faults) -> Vec<Caption> {
        let column = |name: &str| {
            captions.column_by_name(name).expect("the columns were checked when the table was opened")
        };
        let (texts, itms) = (column("text").as_string::<i32>(), column("itm").as_primitive::<Float32Type>());
        let kept = column("kept").as_boolean();
        let mut found = Vec::new();
        for i in 0..captions.len() {
            let itm = itms.is_valid(i).then(|| itms.value(i));
            judge(
                row,
                "synthetic text",
                itm,
                kept.value(i),
                self.settings.filter.synthetic_threshold,
                faults,
            );
            if kept.value(i) {
                let text = texts.value(i).to_owned();
                found.push(Caption {
                    text,
                    source: Source::Synthetic.as_str(),
                    itm: itm.unwrap_or(f32::NAN),
                });
            }
        }
        found
    }
}

/// Checks that a verdict follows from its score: kept if P(match) is at least the threshold, and never
/// without a score.
fn judge(row: u64, what: &str, itm: Option<f32>, kept: bool, threshold: f64, faults: &mut Faults) {
    let should = itm.is_some_and(|itm| f64::from(itm) >= threshold);
    faults.add_if(kept != should, || {
        let verdict = if kept { "kept" } else { "dropped" };
        format!("row {row}: the {what} is {verdict} with P(match) {itm:?} and threshold {threshold}")
    });
}
