//! Reader for the rows of a ledger.

use capfilt_schemas::{
    commit::Output,
    first_lacking,
    ledger::{self, LedgerRow},
};
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::{arrow::ParquetRecordBatchStreamBuilder, errors::ParquetError};

/// Error of reading a ledger.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the ledger {object}: {source}")]
pub struct LedgerError {
    /// URL of the ledger.
    pub object: String,
    /// Error of the Parquet reader; it contains the store's.
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
    let read = async {
        let builder = ParquetRecordBatchStreamBuilder::new(PinnedObject::of_output(bucket, output)).await?;
        if let Some(field) = first_lacking(&ledger::schema_of(builder.schema()), builder.schema()) {
            let (name, kind) = (field.name(), field.data_type());
            return Err(ParquetError::General(format!("it has no column `{name}` of type {kind}")));
        }
        let mut batches = builder.with_limit(limit).with_batch_size(ROWS_AT_ONCE).build()?;
        while let Some(batch) = batches.try_next().await? {
            ledger::rows(&batch).map_err(ParquetError::General)?.into_iter().for_each(&mut each);
        }
        Ok(())
    };
    read.await.map_err(fail)
}
