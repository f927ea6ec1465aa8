//! Rows gathered until they hold exactly one batch of images.
//!
//! Rows without an image ride along, so the order stays the input's. Batches are cut by the shard's rows alone: which
//! images share a batch never depends on how the rows arrived.

use crate::decode::PreparedRows;
use arrow::{array::RecordBatch, compute::concat_batches, error::ArrowError};
use capfilt_pipeline::prepare::Prepared;

/// Memory: fewer than `batch` images and the rows between them, plus the chunk that was pushed last.
#[derive(Debug, Default)]
pub(crate) struct Batcher {
    rows: Vec<Prepared>,
    passthrough: Vec<RecordBatch>,
}

impl Batcher {
    pub(crate) fn push(&mut self, chunk: PreparedRows) {
        self.rows.extend(chunk.rows);
        self.passthrough.push(chunk.passthrough);
    }

    /// The next rows with exactly `batch` images, once there are so many.
    pub(crate) fn full(&mut self, batch: usize) -> Result<Option<PreparedRows>, ArrowError> {
        let mut images = self.rows.iter().enumerate().filter(|(_, row)| row.image.is_ok());
        let Some((last, _)) = images.nth(batch.max(1) - 1) else { return Ok(None) };
        self.take(last + 1).map(Some)
    }

    /// What is left at the end of a shard.
    pub(crate) fn rest(&mut self) -> Result<Option<PreparedRows>, ArrowError> {
        let rows = self.rows.len();
        if rows == 0 { Ok(None) } else { self.take(rows).map(Some) }
    }

    /// Forgets a broken shard's rows.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.passthrough.clear();
    }

    fn take(&mut self, rows: usize) -> Result<PreparedRows, ArrowError> {
        let schema = self.passthrough[0].schema();
        let all = concat_batches(&schema, &self.passthrough)?;
        let left = all.slice(rows, all.num_rows() - rows);
        self.passthrough = if left.num_rows() > 0 { vec![left] } else { Vec::new() };
        let kept_back = self.rows.split_off(rows);
        Ok(PreparedRows { rows: std::mem::replace(&mut self.rows, kept_back), passthrough: all.slice(0, rows) })
    }
}
