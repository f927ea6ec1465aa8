//! How many rows of a row group are decoded at once, so that what comes out has a bound in bytes.
//!
//! The footer tells what all values of a column take together, not how long one is. Where all of it is
//! little, rows are decoded by the batch. Else so few at once that several times the mean fits, and one where
//! even that is too much.

use parquet::{
    arrow::ProjectionMask,
    basic::{Encoding, Type},
    file::metadata::{ColumnChunkMetaData, RowGroupMetaData},
};

/// Bytes that rows decoded at once should have at most.
const AT_ONCE: u64 = 64 << 20;

/// A row group of this many bytes, decoded, is no danger whatever its rows are like.
const SMALL_GROUP: u64 = 128 << 20;

/// Rows at once of any other row group: the reader's own cost is a few microseconds a call.
const FEW: u64 = 8;

/// How many times the mean a row may have before a call gives more than [`AT_ONCE`].
const UNEVEN: u64 = 8;

/// Rows to decode at once, `most` or fewer. `columns`: those that are read.
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

/// What the values of a column take in memory whose rows need not have the same size: bytes, and lists of
/// anything, of which runs of one value are a few bytes in the file.
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

/// How long one value can be that is made anew for every row and shared by none; 0 where none is.
fn longest_value(column: &ColumnChunkMetaData) -> u64 {
    match column.column_type() {
        Type::FIXED_LEN_BYTE_ARRAY => column.column_descr().type_length().max(1) as u64,
        // A value is the beginning of the one before and what follows it: each can be as long as all of the
        // column.
        _ if column.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY) => {
            column.uncompressed_size().max(0) as u64
        }
        _ => 0,
    }
}
