//! Reading of ledgers for a cut.

use super::{Cut, CutError};
use crate::output::{LedgerError, open_ledger};
use arrow::array::RecordBatch;
use capfilt_schemas::{
    commit::Output,
    ledger::{self, LedgerRow},
};
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::{
    arrow::{ProjectionMask, async_reader::ParquetRecordBatchStream},
    errors::ParquetError,
};
use std::sync::Arc;

/// Rows that are read at once if only some columns are: about a megabyte. A batch is a part of one row group,
/// which the writer of ledgers closes at 128 MB, so texts of any length need no more than that.
const ROWS_AT_ONCE: usize = 8192;

/// Rows that are read at once with all columns: about a megabyte, with the same bound.
const WHOLE_ROWS_AT_ONCE: usize = 1024;

/// Calls `each` with the batches of a ledger, which have at least the columns `leaves`. A ledger of version 1
/// has all columns, in the form of the current version.
///
/// # Errors
/// The ledger cannot be read, or `each` fails.
pub async fn each_batch(
    bucket: &Location,
    output: &Output,
    cut: &Cut,
    leaves: &[String],
    mut each: impl FnMut(&RecordBatch) -> Result<(), CutError>,
) -> Result<(), LedgerError> {
    let read = async {
        let builder = open_ledger(bucket, output).await?;
        let is_old = ledger::is_version_1(builder.schema());
        let mask = if is_old {
            ProjectionMask::all()
        } else {
            ProjectionMask::columns(builder.parquet_schema(), leaves.iter().map(String::as_str))
        };
        let mut batches = builder.with_projection(mask).with_batch_size(ROWS_AT_ONCE).build()?;
        while let Some(batch) = batches.try_next().await? {
            let batch = cut.current(batch).map_err(of_cut)?;
            each(&batch).map_err(of_cut)?;
        }
        Ok(())
    };
    read.await.map_err(|source| LedgerError { object: bucket.url_of(&output.path), source })
}

/// Rows of a ledger with the verdicts of a cut, in the input's order. Memory: 1,024 rows, or a row group.
pub struct DecidedRows {
    batches: ParquetRecordBatchStream<PinnedObject>,
    object: String,
    cut: Arc<Cut>,
}

impl DecidedRows {
    /// Opens a ledger.
    ///
    /// # Errors
    /// The object is not a ledger, or the store fails.
    pub async fn open(bucket: &Location, output: &Output, cut: &Arc<Cut>) -> Result<Self, LedgerError> {
        let object = bucket.url_of(&output.path);
        let opened = async { open_ledger(bucket, output).await?.with_batch_size(WHOLE_ROWS_AT_ONCE).build() };
        match opened.await {
            Ok(batches) => Ok(Self { batches, object, cut: Arc::clone(cut) }),
            Err(source) => Err(LedgerError { object, source }),
        }
    }

    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<LedgerRow>>, LedgerError> {
        let read = async {
            let Some(batch) = self.batches.try_next().await? else { return Ok(None) };
            let decided = self.cut.apply(batch).map_err(of_cut)?;
            ledger::rows(&decided).map(Some).map_err(ParquetError::General)
        };
        read.await.map_err(|source| LedgerError { object: self.object.clone(), source })
    }
}

fn of_cut(error: CutError) -> ParquetError {
    ParquetError::External(Box::new(error))
}
