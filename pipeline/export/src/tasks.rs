//! Tasks of the reading phase: consecutive parts of one source, large enough to be worth a separate file.

use super::source::{Part, Source};
use std::ops::Range;

/// Bytes or rows at which a task is closed: a kill loses one task of each reader, and a task's list is sorted
/// in memory (about 1 kB per row).
const BYTES: u64 = 128 << 20;
const ROWS: u64 = 20_000;

/// Parts of one source that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub source: usize,
    pub parts: Range<usize>,
}

/// Tasks of all sources, in order.
pub(crate) fn tasks(sources: &[Source]) -> Vec<Task> {
    sources.iter().enumerate().flat_map(|(source, of)| cut(source, &of.parts())).collect()
}

fn cut(source: usize, parts: &[Part]) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    let (mut bytes, mut rows) = (0, 0);
    for (i, part) in parts.iter().enumerate() {
        let fits = bytes + part.bytes <= BYTES && rows + part.rows <= ROWS;
        match tasks.last_mut().filter(|_| fits) {
            Some(task) => {
                task.parts.end = i + 1;
                (bytes, rows) = (bytes + part.bytes, rows + part.rows);
            }
            None => {
                tasks.push(Task { source, parts: i..i + 1 });
                (bytes, rows) = (part.bytes, part.rows);
            }
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_hold_every_part_once_and_are_of_a_size() {
        let part = |bytes| Part { rows: 100, bytes, texts: 100 };
        let parts: Vec<Part> = [1, 2, 3 * BYTES, 4, BYTES, 1].map(part).into();
        let ranges: Vec<Range<usize>> = cut(0, &parts).into_iter().map(|task| task.parts).collect();
        assert_eq!(ranges, [0..2, 2..3, 3..4, 4..5, 5..6]);
        assert_eq!(cut(1, &[]), []);
        let many: Vec<Part> = (0..1000).map(|_| part(0)).collect();
        assert_eq!(cut(0, &many).len(), 5);
    }
}
