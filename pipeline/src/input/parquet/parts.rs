//! Parts of a row group: rows that are read whole, and rows that `input.where` does not select, whose images
//! are not read. The ledger has every row, so key and text are read for all rows.

use std::ops::Range;

/// Consecutive rows of a row group, and which of their columns are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Rows within the row group; `None` for all rows.
    pub rows: Option<Range<usize>>,
    pub reads: Reads,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Everything,
    /// Key and text: the condition selects none of these rows.
    Names,
}

impl Part {
    pub(super) fn whole(reads: Reads) -> Self {
        Self { rows: None, reads }
    }
}

/// One page of the image column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub rows: Range<usize>,
    /// Compressed size.
    pub bytes: u64,
}

/// Unselected pages of fewer consecutive bytes are read anyway: a part costs some requests.
const WORTH_BYTES: u64 = 1 << 20;

/// Parts of a row group for known selected rows. `pages` are those of the image column, if its page index is
/// known; the pages cover all rows.
pub(super) fn parts(selected: &[bool], pages: &[Page]) -> Vec<Part> {
    if !selected.contains(&true) {
        return vec![Part::whole(Reads::Names)];
    }
    let wanted = |page: &Page| selected[page.rows.clone()].contains(&true);
    // Runs of selected and of unselected pages.
    let mut runs: Vec<(Page, bool)> = Vec::new();
    for page in pages {
        let wanted = wanted(page);
        match runs.last_mut().filter(|(_, last)| *last == wanted) {
            Some((run, _)) => {
                *run = Page { rows: run.rows.start..page.rows.end, bytes: run.bytes + page.bytes }
            }
            None => runs.push((page.clone(), wanted)),
        }
    }
    let mut parts: Vec<(Range<usize>, Reads)> = Vec::new();
    for (run, wanted) in runs {
        let reads = if wanted || run.bytes < WORTH_BYTES { Reads::Everything } else { Reads::Names };
        match parts.last_mut().filter(|(_, last)| *last == reads) {
            Some((rows, _)) => rows.end = run.rows.end,
            None => parts.push((run.rows, reads)),
        }
    }
    match parts.len() {
        0 | 1 => vec![Part::whole(Reads::Everything)],
        _ => parts.into_iter().map(|(rows, reads)| Part { rows: Some(rows), reads }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_one_part_each_and_pages_without_a_selected_row_are_left_where_it_pays() {
        let page = |rows: Range<usize>, kilobytes: u64| Page { rows, bytes: kilobytes << 10 };
        let pages =
            [page(0..10, 600), page(10..20, 600), page(20..30, 600), page(30..40, 100), page(40..50, 600)];
        let select = |rows: &[usize]| (0..50).map(|row| rows.contains(&row)).collect::<Vec<_>>();
        let part = |rows: Range<usize>, reads| Part { rows: Some(rows), reads };
        assert_eq!(parts(&select(&[]), &pages), [Part::whole(Reads::Names)]);
        assert_eq!(
            parts(&select(&[25]), &pages),
            [part(0..20, Reads::Names), part(20..50, Reads::Everything)],
            "700 kB at the end are not worth a part"
        );
        assert_eq!(
            parts(&select(&[5, 45]), &pages),
            [part(0..10, Reads::Everything), part(10..40, Reads::Names), part(40..50, Reads::Everything)]
        );
        assert_eq!(parts(&select(&[5]), &[]), [Part::whole(Reads::Everything)]);
        assert_eq!(parts(&[true; 50], &pages), [Part::whole(Reads::Everything)]);
    }
}
