//! Reader for the rows of a ledger.

use arrow::{
    array::{
        Array, AsArray as _, BooleanArray, Float32Array, RecordBatch, StringArray, StructArray, UInt32Array,
    },
    datatypes::{Float32Type, UInt32Type, UInt64Type},
};
use capfilt_schemas::{
    commit::Output,
    ledger::{LedgerRow, Scored, SyntheticText, schema},
    plan::InputFile,
    status::{RowStatus, WebStatus},
};
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::{arrow::ParquetRecordBatchStreamBuilder, errors::ParquetError};

/// Error of reading a ledger.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the ledger {object}: {source}")]
pub struct LedgerError {
    pub object: String,
    #[source]
    pub source: ParquetError,
}

/// Rows that are decoded at once; the texts of a row have up to a few megabytes.
const ROWS_AT_ONCE: usize = 64;

/// The first `limit` rows of a committed ledger, in the input's order.
pub async fn read_ledger(
    bucket: &Location,
    output: &Output,
    limit: usize,
) -> Result<Vec<LedgerRow>, LedgerError> {
    let mut rows = Vec::new();
    each_of_ledger(bucket, output, limit, |row| rows.push(row)).await?;
    Ok(rows)
}

/// Calls `each` for every row.
pub async fn each_of_ledger(
    bucket: &Location,
    output: &Output,
    limit: usize,
    mut each: impl FnMut(LedgerRow),
) -> Result<(), LedgerError> {
    let fail = |source| LedgerError { object: bucket.url_of(&output.path), source };
    // Without an ETag: an attempt's object is written only once.
    let file = InputFile { path: output.path.clone(), etag: String::new(), bytes: output.bytes };
    let read = async {
        let builder = ParquetRecordBatchStreamBuilder::new(PinnedObject::new(bucket, &file)).await?;
        if builder.schema().fields() != schema().fields() {
            return Err(ParquetError::General("its columns are not this version's".to_owned()));
        }
        let mut batches = builder.with_limit(limit).with_batch_size(ROWS_AT_ONCE).build()?;
        while let Some(batch) = batches.try_next().await? {
            ledger_rows(&batch).map_err(ParquetError::General)?.into_iter().for_each(&mut each);
        }
        Ok(())
    };
    read.await.map_err(fail)
}

/// Converts a batch with the ledger's columns to rows.
fn ledger_rows(batch: &RecordBatch) -> Result<Vec<LedgerRow>, String> {
    let column = |name: &str| batch.column_by_name(name).expect("the columns were compared with the schema");
    let texts = |name: &str| column(name).as_string::<i32>();
    let (widths, heights) =
        (column("width").as_primitive::<UInt32Type>(), column("height").as_primitive::<UInt32Type>());
    let web = Scores::of(
        column("web_itm").as_primitive::<Float32Type>(),
        column("web_itc").as_primitive::<Float32Type>(),
        column("web_kept").as_boolean(),
    );
    let controls = column("control_itm").as_primitive::<Float32Type>();
    let row = |i: usize| {
        let status = texts("status").value(i);
        let web_status = texts("web_status").value(i);
        Ok(LedgerRow {
            key: text(texts("key"), i),
            file: texts("file").value(i).to_owned(),
            row: column("row").as_primitive::<UInt64Type>().value(i),
            image_sha256: text(texts("image_sha256"), i).map(|digest| parse_digest(&digest)).transpose()?,
            width: number(widths, i),
            height: number(heights, i),
            status: RowStatus::parse(status).ok_or_else(|| format!("unknown status `{status}`"))?,
            web_text: text(texts("web_text"), i),
            web_status: WebStatus::parse(web_status)
                .ok_or_else(|| format!("unknown status `{web_status}`"))?,
            web_score: web.get(i),
            synthetic: captions(column("synthetic").as_list::<i32>().value(i).as_struct()),
            control_itm: controls.is_valid(i).then(|| controls.value(i)),
            detail: text(texts("detail"), i),
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

struct Scores<'a> {
    itm: &'a Float32Array,
    itc: &'a Float32Array,
    kept: &'a BooleanArray,
}

impl<'a> Scores<'a> {
    fn of(itm: &'a Float32Array, itc: &'a Float32Array, kept: &'a BooleanArray) -> Self {
        Self { itm, itc, kept }
    }

    fn get(&self, i: usize) -> Option<Scored> {
        self.itm.is_valid(i).then(|| Scored {
            itm: self.itm.value(i),
            itc: self.itc.value(i),
            kept: self.kept.value(i),
        })
    }
}

fn captions(cells: &StructArray) -> Vec<SyntheticText> {
    let column = |name: &str| cells.column_by_name(name).expect("the columns were compared with the schema");
    let scores = Scores::of(
        column("itm").as_primitive::<Float32Type>(),
        column("itc").as_primitive::<Float32Type>(),
        column("kept").as_boolean(),
    );
    let texts = column("text").as_string::<i32>();
    (0..cells.len())
        .map(|i| SyntheticText { text: texts.value(i).to_owned(), scored: scores.get(i) })
        .collect()
}

fn text(array: &StringArray, i: usize) -> Option<String> {
    array.is_valid(i).then(|| array.value(i).to_owned())
}

fn number(array: &UInt32Array, i: usize) -> Option<u32> {
    array.is_valid(i).then(|| array.value(i))
}

fn parse_digest(text: &str) -> Result<[u8; 32], String> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|error| format!("`{text}` is not a SHA-256: {error}"))?;
    Ok(digest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::output::ledger_table;

    #[test]
    fn rows_come_back_as_they_were_written() {
        let scored = |itm, kept| Some(Scored { itm, itc: -0.25, kept });
        let judged = LedgerRow {
            key: Some("k".to_owned()),
            file: "a.parquet".to_owned(),
            row: 7,
            image_sha256: Some([3; 32]),
            width: Some(4),
            height: Some(5),
            status: RowStatus::Judged,
            web_text: Some("a dog".to_owned()),
            web_status: WebStatus::Judged,
            web_score: scored(0.75, true),
            synthetic: vec![
                SyntheticText { text: "a cat".to_owned(), scored: scored(0.125, false) },
                SyntheticText { text: String::new(), scored: None },
            ],
            control_itm: Some(0.5),
            detail: None,
        };
        let skipped = LedgerRow {
            key: None,
            row: 8,
            image_sha256: None,
            width: None,
            height: None,
            status: RowStatus::ImageMissing,
            web_text: None,
            web_status: WebStatus::NotReached,
            web_score: None,
            synthetic: vec![],
            control_itm: None,
            detail: Some("why".to_owned()),
            ..judged.clone()
        };
        let rows = [judged, skipped];
        assert_eq!(ledger_rows(&ledger_table::batch(&rows).unwrap()).unwrap(), rows);
    }
}
