//! Reads a table of an attempt for checking, and keeps the report of its faults short.

use super::problem::{Problem, redo};
use crate::plan::parquet_fault;
use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use capfilt_schemas::{commit::Output, first_lacking, plan::Shard};
use capfilt_store::{Location, PinnedObject, StoreError};
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream},
    errors::ParquetError,
};
use sha2::{Digest as _, Sha256};

/// Rows decoded at a time.
const ROWS_PER_BATCH: usize = 256;

/// Faults of one table. The first is described, later ones are counted, because one missing row shifts
/// every row after it.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Option<String>,
    more: u64,
}

impl Faults {
    pub fn add(&mut self, fault: impl FnOnce() -> String) {
        match self.first {
            Some(_) => self.more += 1,
            None => self.first = Some(fault()),
        }
    }

    pub fn add_if(&mut self, is_fault: bool, fault: impl FnOnce() -> String) {
        if is_fault {
            self.add(fault);
        }
    }

    pub fn into_problem(self, output: &Output, shard: &Shard, n: u32) -> Option<Problem> {
        let more = if self.more > 0 { format!(" (and {} more)", self.more) } else { String::new() };
        self.first.map(|first| Problem::new(&output.path, format!("{first}{more}"), redo(shard, n)))
    }
}

/// Length and digest of an object, or `None` if it is missing. The object is streamed.
pub(super) async fn measure(bucket: &Location, name: &str) -> Result<Option<(u64, String)>, StoreError> {
    let fail = |source| StoreError::Store { what: "read", object: bucket.url_of(name), source };
    let mut chunks = match bucket.store.get(&bucket.path_of(name)).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(fail(source)),
    };
    let (mut bytes, mut hasher) = (0, Sha256::new());
    while let Some(chunk) = chunks.try_next().await.map_err(fail)? {
        bytes += chunk.len() as u64;
        hasher.update(&chunk);
    }
    Ok(Some((bytes, hex::encode(hasher.finalize()))))
}

/// A table that is being read. Unreadable content is a fault; a refusal of the store is an error.
pub(super) struct Batches {
    batches: ParquetRecordBatchStream<PinnedObject>,
    schema: SchemaRef,
}

impl Batches {
    /// Returns `None`, with a fault, if the table is not readable or lacks a column. `expected` returns the
    /// expected columns for the found ones; further columns are allowed.
    pub async fn open(
        bucket: &Location,
        output: &Output,
        expected: impl Fn(&Schema) -> SchemaRef,
        faults: &mut Faults,
    ) -> Result<Option<Self>, StoreError> {
        let reader = PinnedObject::of_output(bucket, output);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
        let Some(builder) = readable(builder, faults)? else { return Ok(None) };
        let found = SchemaRef::clone(builder.schema());
        if let Some(field) = first_lacking(&expected(&found), &found) {
            faults.add(|| format!("it has no column `{}` of type {}", field.name(), field.data_type()));
            return Ok(None);
        }
        let batches = readable(builder.with_batch_size(ROWS_PER_BATCH).build(), faults)?;
        Ok(batches.map(|batches| Self { batches, schema: found }))
    }

    /// Columns and metadata of the table.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The next batch; `None` at the end and, with a fault, before unreadable content.
    pub async fn next(&mut self, faults: &mut Faults) -> Result<Option<RecordBatch>, StoreError> {
        Ok(readable(self.batches.try_next().await, faults)?.flatten())
    }
}

fn readable<T>(result: Result<T, ParquetError>, faults: &mut Faults) -> Result<Option<T>, StoreError> {
    match result.map_err(parquet_fault) {
        Ok(value) => Ok(Some(value)),
        Err(Ok(fault)) => {
            faults.add(|| fault);
            Ok(None)
        }
        Err(Err(error)) => Err(error),
    }
}
