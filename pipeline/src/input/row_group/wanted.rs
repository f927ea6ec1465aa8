//! What is read of a row group.

use parquet::arrow::ProjectionMask;
use std::ops::Range;

/// Some columns and rows of a row group, and the memory for them.
pub(in crate::input) struct Wanted {
    pub group: usize,
    pub columns: ProjectionMask,
    /// Within the row group; `None` for all of it.
    pub rows: Option<Range<usize>>,
    pub rows_at_once: usize,
    /// Bytes that the columns may take in memory: compressed, and the pages of the batch that is decoded.
    pub memory: u64,
}
