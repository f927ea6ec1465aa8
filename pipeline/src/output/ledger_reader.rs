//! Reader for the rows of a ledger.

use arrow::{
    array::{ArrayRef, BooleanArray, StringArray, UInt64Array},
    compute::kernels::cmp::eq,
    error::ArrowError,
};
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
        arrow_reader::{ArrowPredicateFn, RowFilter},
    },
    errors::ParquetError,
};

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

/// A row of a ledger, by what identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Rows with this key. Keys may be missing or repeated.
    Key(String),
    /// The row with this number in the input file.
    Row(u64),
}

impl Sought {
    fn column(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Row(_) => "row",
        }
    }

    fn matches(&self, column: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        match self {
            Self::Key(key) => eq(column, &StringArray::new_scalar(key)),
            Self::Row(row) => eq(column, &UInt64Array::new_scalar(*row)),
        }
    }
}

/// The rows of a committed ledger that are sought. Of other rows only one column is decoded.
pub async fn find_in_ledger(
    bucket: &Location,
    output: &Output,
    sought: &Sought,
) -> Result<Vec<LedgerRow>, LedgerError> {
    let mut rows = Vec::new();
    read(bucket, output, usize::MAX, Some(sought), |row| rows.push(row)).await?;
    Ok(rows)
}

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
    each: impl FnMut(LedgerRow),
) -> Result<(), LedgerError> {
    read(bucket, output, limit, None, each).await
}

/// Opens a ledger, and checks that it has the columns of a known version.
pub(crate) async fn open_ledger(
    bucket: &Location,
    output: &Output,
) -> Result<ParquetRecordBatchStreamBuilder<PinnedObject>, ParquetError> {
    let builder = ParquetRecordBatchStreamBuilder::new(PinnedObject::of_output(bucket, output)).await?;
    if let Some(field) = first_lacking(&ledger::schema_of(builder.schema()), builder.schema()) {
        let (name, kind) = (field.name(), field.data_type());
        return Err(ParquetError::General(format!("it has no column `{name}` of type {kind}")));
    }
    Ok(builder)
}

async fn read(
    bucket: &Location,
    output: &Output,
    limit: usize,
    sought: Option<&Sought>,
    mut each: impl FnMut(LedgerRow),
) -> Result<(), LedgerError> {
    let fail = |source| LedgerError { object: bucket.url_of(&output.path), source };
    let read = async {
        let mut builder = open_ledger(bucket, output).await?;
        if let Some(sought) = sought.cloned() {
            let column = ProjectionMask::columns(builder.parquet_schema(), [sought.column()]);
            let matches = ArrowPredicateFn::new(column, move |batch| sought.matches(batch.column(0)));
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(matches)]));
        }
        let mut batches = builder.with_limit(limit).with_batch_size(ROWS_AT_ONCE).build()?;
        while let Some(batch) = batches.try_next().await? {
            ledger::rows(&batch).map_err(ParquetError::General)?.into_iter().for_each(&mut each);
        }
        Ok(())
    };
    read.await.map_err(fail)
}
