//! Kept rows as samples of a WebDataset tar: image, best text, and a record with all texts and the
//! pass-through columns.

use super::{
    hashing_writer::{HashingWriter, WriteError},
    json_values::json_values,
    judged_rows::JudgedRows,
    pairs_table,
};
use arrow::{
    array::{RecordBatch, UInt64Array},
    compute::take_record_batch,
    error::ArrowError,
};
use capfilt_schemas::{
    commit::Output,
    object_keys::Table,
    pairs::{best_text, encode_sample, sample_name},
    settings::Images,
};
use capfilt_store::{
    Location,
    tar::{SampleData, SampleWriter},
};
use parquet::{arrow::async_writer::AsyncFileWriter as _, errors::ParquetError};
use serde_json::{Map, Value};

/// The tar that is being written. Memory: a chunk of the tar (1 MiB), one sample, and one upload part.
pub(super) struct TarUpload {
    path: String,
    rows: u64,
    tar: SampleWriter,
    sink: HashingWriter,
}

impl TarUpload {
    pub fn create(bucket: &Location, path: String) -> Self {
        let sink = HashingWriter::create(bucket, &path);
        Self { path, rows: 0, tar: SampleWriter::new(), sink }
    }

    /// Appends the kept rows.
    pub async fn write(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        let written = self.append(rows).await;
        written.map_err(|source| WriteError { object: self.path.clone(), source })
    }

    async fn append(&mut self, rows: &JudgedRows) -> Result<(), ParquetError> {
        let kept: Vec<usize> = (0..rows.ledger.len()).filter(|&i| rows.ledger[i].keeps_a_text()).collect();
        let indices = UInt64Array::from_iter_values(kept.iter().map(|&i| i as u64));
        let passed = json_rows(&take_record_batch(&rows.passthrough, &indices)?)?;
        for (i, passed) in kept.into_iter().zip(passed) {
            let row = pairs_table::row(&rows.ledger[i], &rows.images[i], Images::Embed)?;
            let (name, record) =
                (sample_name(&rows.ledger[i].file, rows.ledger[i].row), encode_sample(&row, passed));
            let text = best_text(&row.texts).unwrap_or_default();
            let bytes = self.tar.add(&name, SampleData { image: row.image, text, record: &record })?;
            self.rows += 1;
            if !bytes.is_empty() {
                self.sink.write(bytes.into()).await?;
            }
        }
        Ok(())
    }

    /// Finishes the object. When this returns, the whole object is stored.
    pub async fn finish(self) -> Result<Output, WriteError> {
        let Self { path, rows, tar, mut sink } = self;
        let ended = async {
            sink.write(tar.finish()?.into()).await?;
            sink.complete().await
        };
        let ended = ended.await;
        ended.map_err(|source| WriteError { object: path.clone(), source })?;
        Ok(sink.written().output(Table::Pairs, path, rows))
    }
}

/// Values of each row by column; a null is a null of JSON, so that every sample has every column.
fn json_rows(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let mut rows = vec![Map::new(); batch.num_rows()];
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(json_values(column)?) {
            row.insert(field.name().clone(), value.unwrap_or_default());
        }
    }
    Ok(rows)
}
