//! Byte ranges of a column that contain some rows.

use super::wanted::Wanted;
use parquet::{
    errors::{ParquetError, Result},
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        page_index::offset_index::PageLocation,
    },
};
use std::ops::Range;

/// Position of a column in the object.
pub(super) struct Located {
    /// Index of the column among all leaf columns.
    pub leaf: usize,
    pub range: Range<u64>,
    /// Page locations, if only some rows are requested and the file has a page index.
    pub pages: Option<Vec<PageLocation>>,
    /// Byte ranges of the requested rows and of the dictionary.
    pub wanted: Vec<Range<u64>>,
}

/// Positions of the requested columns of a row group.
///
/// # Errors
/// A column's position is beyond the end of the object.
pub(super) fn located(
    metadata: &ParquetMetaData,
    wanted: &Wanted,
    object_bytes: u64,
) -> Result<Vec<Located>> {
    let group = metadata.row_group(wanted.group);
    let leaves = (0..group.num_columns()).filter(|leaf| wanted.columns.leaf_included(*leaf));
    let place = |leaf: usize| {
        let range = range_of(group.column(leaf), object_bytes)?;
        let known = metadata.page_index().and_then(|index| index.offset_index(wanted.group, leaf));
        let pages = known.map(|index| index.page_locations().clone());
        let some = wanted.rows.as_ref().zip(pages.filter(|pages| are_within(pages, &range)));
        Ok(match some {
            Some((rows, pages)) => {
                Located { leaf, wanted: of_rows(rows, &pages, &range), pages: Some(pages), range }
            }
            None => Located { leaf, wanted: vec![range.clone()], pages: None, range },
        })
    };
    leaves.map(place).collect()
}

fn range_of(column: &ColumnChunkMetaData, object_bytes: u64) -> Result<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let end = start.checked_add(column.compressed_size());
    let range = u64::try_from(start).ok().zip(end.and_then(|end| u64::try_from(end).ok()));
    let range = range.filter(|(start, end)| start <= end && *end <= object_bytes);
    range.map(|(start, end)| start..end).ok_or_else(|| {
        let name = column.column_path().string();
        let message =
            format!("the footer places column `{name}` outside of the file of {object_bytes} bytes");
        ParquetError::General(message)
    })
}

fn bytes_of(page: &PageLocation) -> Option<Range<u64>> {
    let start = u64::try_from(page.offset).ok()?;
    Some(start..start.checked_add(u64::try_from(page.compressed_page_size).ok()?)?)
}

/// Whether all pages are inside their column: an index may be wrong.
fn are_within(pages: &[PageLocation], column: &Range<u64>) -> bool {
    let within =
        |page| bytes_of(page).is_some_and(|page| column.start <= page.start && page.end <= column.end);
    !pages.is_empty() && pages.iter().all(within)
}

/// Byte ranges of the pages of consecutive rows, and of the dictionary, which is before the first page.
fn of_rows(rows: &Range<usize>, pages: &[PageLocation], column: &Range<u64>) -> Vec<Range<u64>> {
    let first_row = |page: &PageLocation| usize::try_from(page.first_row_index).unwrap_or(0);
    let ends = pages.iter().skip(1).map(first_row).chain([usize::MAX]);
    let has_wanted = |(page, end): &(&PageLocation, usize)| first_row(page) < rows.end && *end > rows.start;
    let of_pages = pages.iter().zip(ends).filter(has_wanted).filter_map(|(page, _)| bytes_of(page));
    let whole = of_pages.reduce(|all, page| all.start.min(page.start)..all.end.max(page.end));
    let dictionary = bytes_of(&pages[0]).map(|first| column.start..first.start);
    dictionary.filter(|bytes| !bytes.is_empty()).into_iter().chain(whole).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn some_rows_need_their_pages_and_the_dictionary() {
        let page =
            |offset, first_row_index| PageLocation { offset, compressed_page_size: 10, first_row_index };
        let pages = [page(105, 0), page(115, 4), page(125, 8)];
        assert_eq!(of_rows(&(5..9), &pages, &(100..135)), [100..105, 115..135]);
        assert_eq!(of_rows(&(0..4), &pages, &(105..135)), std::slice::from_ref(&(105..115)));
        assert!(
            are_within(&pages, &(100..135)) && !are_within(&pages, &(100..134)) && !are_within(&[], &(0..9))
        );
        assert!(!are_within(&[page(-1, 0)], &(0..9)) && !are_within(&[page(i64::MAX, 0)], &(0..9)));
    }
}
