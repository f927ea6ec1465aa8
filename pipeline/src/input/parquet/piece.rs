//! Decoded Parquet rows that are measured and not yet copied.

use super::views;
use arrow::array::RecordBatch;
use std::sync::Arc;

/// Rows whose byte columns are views into decoded pages.
///
/// Memory: the pages of the rows, and a dictionary once. Parquet allows pages of 2 GiB.
pub(super) struct Piece {
    pub batch: RecordBatch,
    /// Bytes of each row after copying.
    pub bytes: Vec<u64>,
    /// Length of an image over the limit, whose bytes are not copied.
    pub too_large: Vec<Option<u64>>,
}

/// Limits of copied values.
pub(super) struct Carried<'a> {
    pub image: &'a str,
    pub image_bytes: u64,
    pub texts: &'a [Arc<str>],
    pub text_bytes: u64,
}

impl Piece {
    pub fn new(batch: RecordBatch, carried: &Carried) -> Self {
        let (mut columns, mut too_large) = (batch.columns().to_vec(), vec![None; batch.num_rows()]);
        if let Ok(at) = batch.schema().index_of(carried.image)
            && let Some((rest, large)) = views::without_large(&columns[at], carried.image_bytes)
        {
            (columns[at], too_large) = (rest, large);
        }
        for text in carried.texts {
            if let Ok(at) = batch.schema().index_of(text)
                && let Some(shorter) = views::shortened(&columns[at], carried.text_bytes)
            {
                columns[at] = shorter;
            }
        }
        let batch = RecordBatch::try_new(batch.schema(), columns).unwrap_or(batch);
        Self { bytes: views::row_bytes(&batch), batch, too_large }
    }

    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Number of leading rows that have at most `bytes` bytes together.
    pub fn within(&self, bytes: u64) -> usize {
        let mut left = bytes;
        self.bytes.iter().take_while(|row| left.checked_sub(**row).map(|rest| left = rest).is_some()).count()
    }

    /// The first `rows` rows.
    pub fn front(&self, rows: usize) -> Self {
        let (bytes, too_large) = (self.bytes[..rows].to_vec(), self.too_large[..rows].to_vec());
        Self { batch: self.batch.slice(0, rows), bytes, too_large }
    }

    /// All rows, in pieces of at most `bytes` bytes, or of one row.
    pub fn cut(mut self, bytes: u64) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let rows = self.within(bytes).max(1).min(self.rows());
            let front = (rows > 0).then(|| self.front(rows))?;
            self.skip(rows);
            Some(front)
        })
    }

    /// Drops the first rows.
    pub fn skip(&mut self, rows: usize) {
        self.batch = self.batch.slice(rows, self.rows() - rows);
        self.bytes.drain(..rows);
        self.too_large.drain(..rows);
    }
}
