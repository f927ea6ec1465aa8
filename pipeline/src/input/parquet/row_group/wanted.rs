//! Requested part of a row group.

use parquet::arrow::ProjectionMask;
use std::ops::Range;

/// Some columns and rows of a row group, and the memory for them.
pub(in crate::input::parquet) struct Wanted {
    pub group: usize,
    pub columns: ProjectionMask,
    /// Rows within the row group; `None` for all rows.
    pub rows: Option<Range<usize>>,
    pub rows_at_once: usize,
    /// Bytes of memory for the columns: their compressed bytes, and the pages of the decoded batch.
    pub memory: u64,
}
