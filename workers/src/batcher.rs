//! Gathers rows into batches of exactly `batch` images, or of at most `BATCH_BYTES` bytes.
//!
//! Rows without an image stay between their neighbours, so the order is the input's. The shard's rows alone
//! decide the batches: neither the sizes of arriving chunks nor the machine's memory changes which images
//! share a batch.

use crate::{
    flow::PreparedRows,
    memory::{BATCH_BYTES, Held},
};
use arrow::{array::RecordBatch, compute::concat_batches, error::ArrowError};
use capfilt_pipeline::prepare::Prepared;
use std::{collections::VecDeque, sync::Arc};

/// A row that is gathered into batches.
pub(crate) trait BatchRow {
    /// Whether the row has an image for the models.
    fn has_image(&self) -> bool;
}

impl BatchRow for Prepared {
    fn has_image(&self) -> bool {
        self.image.is_ok()
    }
}

/// Rows that wait for a batch. Memory: less than a batch, plus the last chunk.
#[derive(Debug)]
pub(crate) struct Batcher<R = Prepared> {
    rows: VecDeque<R>,
    bytes: VecDeque<u64>,
    rest: VecDeque<Rest>,
    counted: Counted,
}

/// Number of leading rows that `cut` has counted, with their images and bytes.
#[derive(Debug, Default)]
struct Counted {
    rows: usize,
    images: usize,
    bytes: u64,
}

/// Columns and shares of memory of a chunk whose rows are not all taken.
#[derive(Debug)]
struct Rest {
    passthrough: RecordBatch,
    held: Vec<Arc<Held>>,
}

impl<R> Default for Batcher<R> {
    fn default() -> Self {
        Self {
            rows: VecDeque::new(),
            bytes: VecDeque::new(),
            rest: VecDeque::new(),
            counted: Counted::default(),
        }
    }
}

impl<R: BatchRow> Batcher<R> {
    pub(crate) fn push(&mut self, chunk: PreparedRows<R>) {
        self.rows.extend(chunk.rows);
        self.bytes.extend(chunk.bytes);
        self.rest.push_back(Rest { passthrough: chunk.passthrough, held: chunk.held });
    }

    /// Returns the next batch once it is complete.
    pub(crate) fn full(&mut self, batch: usize) -> Result<Option<PreparedRows<R>>, ArrowError> {
        self.cut(batch).map(|rows| self.take(rows)).transpose()
    }

    /// Returns the remaining rows at the end of a shard.
    pub(crate) fn rest(&mut self) -> Result<Option<PreparedRows<R>>, ArrowError> {
        let rows = self.rows.len();
        if rows == 0 { Ok(None) } else { self.take(rows).map(Some) }
    }

    /// Drops a broken shard's rows.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Number of rows of the next batch: up to its last image, or before the row that exceeds `BATCH_BYTES`.
    fn cut(&mut self, batch: usize) -> Option<usize> {
        while let (Some(row), Some(bytes)) =
            (self.rows.get(self.counted.rows), self.bytes.get(self.counted.rows))
        {
            let counted = &mut self.counted;
            if counted.bytes + bytes > BATCH_BYTES && counted.rows > 0 {
                return Some(counted.rows);
            }
            counted.rows += 1;
            counted.bytes += bytes;
            counted.images += usize::from(row.has_image());
            if counted.images >= batch.max(1) {
                return Some(counted.rows);
            }
        }
        None
    }

    fn take(&mut self, rows: usize) -> Result<PreparedRows<R>, ArrowError> {
        self.counted = Counted::default();
        let schema = self.rest[0].passthrough.schema();
        let (mut passthrough, mut held, mut left) = (Vec::new(), Vec::new(), rows);
        while left > 0 {
            let first = &mut self.rest[0];
            let taken = left.min(first.passthrough.num_rows());
            passthrough.push(first.passthrough.slice(0, taken));
            held.extend(first.held.iter().cloned());
            first.passthrough = first.passthrough.slice(taken, first.passthrough.num_rows() - taken);
            if first.passthrough.num_rows() == 0 {
                self.rest.pop_front();
            }
            left -= taken;
        }
        let passthrough = concat_batches(&schema, &passthrough)?;
        let (rows, bytes) = (self.rows.drain(..rows).collect(), self.bytes.drain(..rows).collect());
        Ok(PreparedRows { rows, bytes, passthrough, held })
    }
}

#[cfg(test)]
mod tests;
