//! Pairs in a Parquet file.

use super::{CleanedRows, ROWS_AT_ONCE, cleaned};
use crate::input::{ColumnError, ReadError};
use arrow::{array::RecordBatch, error::ArrowError};
use capfilt_schemas::{
    commit::Output,
    first_lacking,
    pairs::{self, Version},
};
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream};

pub(super) struct TableReader {
    stream: ParquetRecordBatchStream<PinnedObject>,
    version: Version,
    path: String,
}

impl TableReader {
    pub async fn open(job: &Location, object: &Output) -> Result<Self, ReadError> {
        let fail = |source| ReadError::Parquet { file: object.path.clone(), source };
        let reader = PinnedObject::of_output(job, object);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(fail)?;
        let version = Version::of(builder.schema());
        if let Some(wanted) = first_lacking(&version.schema(), builder.schema()) {
            let problem = match builder.schema().field_with_name(wanted.name()) {
                Ok(found) => {
                    format!("is {}, and in a pairs table {}", found.data_type(), wanted.data_type())
                }
                Err(_) => "is missing: this is not a pairs table".to_owned(),
            };
            let source = ColumnError { column: wanted.name().clone(), problem };
            return Err(ReadError::Column { file: object.path.clone(), source });
        }
        let stream = builder.with_batch_size(ROWS_AT_ONCE).build().map_err(fail)?;
        Ok(Self { stream, version, path: object.path.clone() })
    }

    pub async fn next(&mut self) -> Result<Option<CleanedRows>, ReadError> {
        let fail = |source| ReadError::Parquet { file: self.path.clone(), source };
        let Some(batch) = self.stream.try_next().await.map_err(fail)? else { return Ok(None) };
        let rows = pairs::rows(&batch, self.version).map(cleaned).collect();
        let passthrough = self.passthrough(&batch).map_err(|error| fail(error.into()))?;
        Ok(Some(CleanedRows { rows, passthrough }))
    }

    /// The pass-through columns of a batch.
    fn passthrough(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let ours = self.version.schema();
        let names = batch.schema();
        let others =
            (0..batch.num_columns()).filter(|&i| ours.field_with_name(names.field(i).name()).is_err());
        batch.project(&others.collect::<Vec<_>>())
    }
}
