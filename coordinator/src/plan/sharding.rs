//! Cuts a file into shards of consecutive, whole units.

use super::contents::Unit;
use capfilt_schemas::plan::{InputFile, Part, Shard, ShardId};
use std::sync::Arc;

/// Larger row groups give a warning: a worker process holds the columns of a row group in memory.
const LARGE_ROW_GROUP_BYTES: u64 = 1 << 30;
/// Row groups with more than this multiple of `shards.rows` give a warning.
const LARGE_ROW_GROUP_FACTOR: u64 = 4;

/// Cuts a file into shards of about `rows_wanted` rows: each takes units until it has at least that many.
///
/// Units are not cut: a reader would fetch a whole row group for each of its parts.
pub fn shards(file: &InputFile, units: &[Unit], rows_exact: bool, rows_wanted: u64) -> Vec<Shard> {
    let shared = Arc::new(file.clone());
    let mut shards = Vec::new();
    let (mut left, mut first_row) = (units, 0);
    while let Some(first) = left.first() {
        let (mut taken, mut rows) = (0, 0);
        while taken < left.len() && rows < rows_wanted {
            rows += left[taken].rows;
            taken += 1;
        }
        let (own, rest) = left.split_at(taken);
        // Units without rows at the end of a file need no shard.
        if rows > 0 {
            let part = first.part.to(&own[taken - 1].part);
            let id = ShardId::of_part(&file.path, &file.etag, &part);
            let (file, bytes) = (Arc::clone(&shared), own.iter().map(|unit| unit.bytes).sum());
            shards.push(Shard { id, file, part, first_row, rows, rows_exact, bytes });
        }
        first_row += rows;
        left = rest;
    }
    shards
}

/// A warning about the file's row groups, for the user before the start.
pub fn warning(file: &InputFile, groups: &[Unit], rows_wanted: u64) -> Option<String> {
    // Units of other formats are as small as shards.
    let is_of_row_groups = matches!(groups.first()?.part, Part::RowGroups(_));
    let largest = groups.iter().max_by_key(|group| group.rows).filter(|_| is_of_row_groups)?;
    if largest.rows > rows_wanted.saturating_mul(LARGE_ROW_GROUP_FACTOR) {
        let rows = largest.rows;
        return Some(format!(
            "{}: a row group has {rows} rows, and shards.rows is {rows_wanted}: shards cannot be smaller \
             than row groups, so this shard takes long, also when it is retried; write the input with \
             smaller row groups",
            file.path
        ));
    }
    let heaviest =
        groups.iter().map(|group| group.bytes).max().filter(|bytes| *bytes > LARGE_ROW_GROUP_BYTES)?;
    Some(format!(
        "{}: a row group has {heaviest} bytes, which a worker process holds in memory; write the input with \
         smaller row groups",
        file.path
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> InputFile {
        InputFile { path: "a.parquet".to_owned(), etag: "1".to_owned(), bytes: 1 }
    }

    fn groups(rows: &[u64]) -> Vec<Unit> {
        let group =
            |(i, rows): (u32, &u64)| Unit { part: Part::RowGroups(i..i + 1), rows: *rows, bytes: 10 * rows };
        (0..).zip(rows).map(group).collect()
    }

    #[test]
    fn shards_cover_all_rows_once_and_cut_no_row_group() {
        let cut = shards(&file(), &groups(&[4, 4, 4, 30, 1, 0, 1]), true, 10);
        let cuts: Vec<_> = cut.iter().map(|s| (s.part.row_groups(), s.first_row, s.rows)).collect();
        assert_eq!(cuts, [(0..3, 0, 12), (3..4, 12, 30), (4..7, 42, 2)]);
        assert_eq!(cut[1].bytes, 300);
        assert!(shards(&file(), &groups(&[0, 0]), true, 10).is_empty());
        assert!(shards(&file(), &[], true, 10).is_empty());
    }

    #[test]
    fn a_row_group_far_above_the_wanted_rows_is_warned_of() {
        assert_eq!(warning(&file(), &groups(&[40]), 10), None);
        assert!(warning(&file(), &groups(&[41]), 10).is_some());
        assert!(warning(&file(), &[Unit { bytes: 2 << 30, ..groups(&[1])[0].clone() }], 10).is_some());
    }
}
