//! Number of rows of a row group that are decoded at once, so that the decoded bytes are bounded.
//!
//! The footer has the total size of a column's values, not the size of each value. If all columns together
//! are small, rows are decoded in full batches. Otherwise the number of rows is so small that several times
//! their mean size fits, or one row if even that is too much.

use parquet::{
    arrow::ProjectionMask,
    basic::{Encoding, Type},
    file::metadata::{ColumnChunkMetaData, RowGroupMetaData},
};

/// Largest number of bytes of the rows that are decoded at once.
const AT_ONCE: u64 = 64 << 20;

/// A row group of at most this number of decoded bytes is decoded in full batches.
const SMALL_GROUP: u64 = 128 << 20;

/// Rows that are decoded at once in other row groups: a call costs the reader only a few microseconds.
const FEW: u64 = 8;

/// Ratio of a row's size to the mean from which a call exceeds [`AT_ONCE`].
const UNEVEN: u64 = 8;

/// Rows to decode at once, at most `most`. `columns`: the columns that are read.
pub(super) fn rows_at_once(group: &RowGroupMetaData, columns: &ProjectionMask, most: usize) -> usize {
    let read = || {
        group.columns().iter().enumerate().filter(|(leaf, _)| columns.leaf_included(*leaf)).map(|(_, c)| c)
    };
    let uneven = read().map(uneven_bytes).fold(0, u64::saturating_add);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
    let mean = uneven / rows;
    let by_mean =
        if uneven <= SMALL_GROUP { most as u64 } else { (AT_ONCE / (UNEVEN * mean).max(1)).min(FEW) };
    let by_value = read().map(|column| AT_ONCE / longest_value(column).max(1)).min().unwrap_or(u64::MAX);
    by_mean.min(by_value).clamp(1, most.max(1) as u64) as usize
}

/// Decoded bytes of a column whose rows may have different sizes: byte arrays, and lists of any type (a run
/// of equal values has only a few bytes in the file).
fn uneven_bytes(column: &ColumnChunkMetaData) -> u64 {
    let stored = column.uncompressed_size().max(0) as u64;
    let width = match column.column_type() {
        Type::BOOLEAN => 1,
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::DOUBLE | Type::INT96 => 8,
        Type::BYTE_ARRAY => 16,
        Type::FIXED_LEN_BYTE_ARRAY => longest_value(column),
    };
    match (column.column_descr().max_rep_level(), column.column_type()) {
        (0, Type::BYTE_ARRAY) => stored,
        (0, _) => 0,
        _ => stored.max((column.num_values().max(0) as u64).saturating_mul(width)),
    }
}

/// Largest size of one value that is copied for every row instead of shared; 0 if values are shared.
fn longest_value(column: &ColumnChunkMetaData) -> u64 {
    match column.column_type() {
        Type::FIXED_LEN_BYTE_ARRAY => column.column_descr().type_length().max(1) as u64,
        // A value is a prefix of the previous value and a suffix: both can be as long as the whole column.
        _ if column.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY) => {
            column.uncompressed_size().max(0) as u64
        }
        _ => 0,
    }
}
