//! Single rows of a ledger.

use crate::statistics::Place;
use capfilt_schemas::{
    commit::Output,
    first_lacking,
    ledger::{self, LedgerRow},
};
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderOptions, RowSelection},
    },
    errors::ParquetError,
    file::metadata::PageIndexPolicy,
};

/// Rows that are decoded at once; the texts of a row have up to a few megabytes.
const ROWS_AT_ONCE: usize = 16;

/// Options with which only the pages of the selected rows are read, where the file has an index of them.
pub(super) fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional)
}

/// The selection of single rows, by ascending numbers.
pub(super) fn selection(rows: impl Iterator<Item = u64>, all: i64) -> RowSelection {
    let ranges = rows.map(|row| row as usize..row as usize + 1);
    RowSelection::from_consecutive_ranges(ranges, all.max(0) as usize)
}

/// The ledger rows at places of one shard, in ascending order. Vectors are not read.
pub(super) async fn at(
    bucket: &Location,
    ledger: &Output,
    places: &[Place],
) -> Result<Vec<LedgerRow>, ParquetError> {
    let object = PinnedObject::of_output(bucket, ledger);
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(object, options()).await?;
    if let Some(field) = first_lacking(&ledger::schema_of(builder.schema()), builder.schema()) {
        return Err(ParquetError::General(format!("it has no column `{}`", field.name())));
    }
    let stored = builder.parquet_schema();
    let is_vector =
        |parts: &[String]| parts.iter().any(|part| part == "embedding" || part == "image_embedding");
    let leaves = stored.columns().iter().enumerate().filter(|(_, leaf)| !is_vector(leaf.path().parts()));
    let projection = ProjectionMask::leaves(stored, leaves.map(|(at, _)| at));
    let rows = builder.metadata().file_metadata().num_rows();
    let selection = selection(places.iter().map(|place| place.offset), rows);
    let builder = builder.with_projection(projection).with_row_selection(selection);
    let mut batches = builder.with_batch_size(ROWS_AT_ONCE).build()?;
    let mut found = Vec::with_capacity(places.len());
    while let Some(batch) = batches.try_next().await? {
        found.extend(ledger::rows(&batch).map_err(ParquetError::General)?);
    }
    match found.len() == places.len() {
        true => Ok(found),
        false => Err(ParquetError::General(format!("it has {rows} rows, fewer than its commit"))),
    }
}
