//! Memory of a row group, counted before bytes are fetched or decoded.

use parquet::errors::{ParquetError, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts the memory of one row group, which is decoded in batches of rows.
///
/// A batch shares the memory of its pages. So the count contains, for each column, the dictionary, the last
/// page before the batch, and all pages of the batch. Compressed bytes are freed when others are fetched. A
/// page that is not compressed is a part of the fetched bytes, which then live as long as the page.
#[derive(Debug)]
pub(super) struct PageMemory {
    most: u64,
    columns: Mutex<Vec<Held>>,
}

/// Bytes of one column.
#[derive(Debug, Default, Clone)]
struct Held {
    name: String,
    is_compressed: bool,
    dictionary: u64,
    last_page: u64,
    pages: u64,
    last_fetched: u64,
    fetched: u64,
}

impl Held {
    fn bytes(&self) -> u64 {
        self.dictionary.saturating_add(self.pages).saturating_add(self.fetched)
    }
}

impl PageMemory {
    /// A count with room for `most` bytes. `columns`: name, and whether the column is compressed.
    pub(super) fn new(most: u64, columns: impl Iterator<Item = (String, bool)>) -> Self {
        let held = columns.map(|(name, is_compressed)| Held { name, is_compressed, ..Held::default() });
        Self { most, columns: Mutex::new(held.collect()) }
    }

    /// Begins a batch: the previous batch has been dropped.
    pub(super) fn begin_batch(&self) {
        for held in self.columns().iter_mut() {
            (held.pages, held.fetched) = (held.last_page, held.last_fetched);
        }
    }

    /// Counts compressed bytes before they are fetched.
    ///
    /// # Errors
    /// There is no room for `bytes` compressed bytes of a column; the caller must not fetch them.
    pub(super) fn fetch(&self, column: usize, bytes: u64) -> Result<()> {
        self.add(column, "in the file", bytes, |held| {
            let before = if held.is_compressed { 0 } else { held.fetched };
            (held.last_fetched, held.fetched) = (bytes, before.saturating_add(bytes));
        })
    }

    /// Counts a page before it is decoded.
    ///
    /// # Errors
    /// There is no room for a page of `bytes` bytes; the caller must not decode it.
    pub(super) fn page(&self, column: usize, bytes: u64) -> Result<()> {
        self.add(column, "decompressed", bytes, |held| {
            // A page that is not compressed was counted when it was fetched.
            let bytes = if held.is_compressed { bytes } else { 0 };
            (held.last_page, held.pages) = (bytes, held.pages.saturating_add(bytes));
        })
    }

    /// Counts a dictionary page.
    ///
    /// # Errors
    /// As for other pages.
    pub(super) fn dictionary(&self, column: usize, bytes: u64) -> Result<()> {
        self.add(column, "decompressed", bytes, |held| held.dictionary = bytes)
    }

    fn add(&self, column: usize, what: &str, bytes: u64, add: impl FnOnce(&mut Held)) -> Result<()> {
        let mut columns = self.columns();
        add(&mut columns[column]);
        let all = columns.iter().map(Held::bytes).fold(0, u64::saturating_add);
        if all <= self.most {
            return Ok(());
        }
        Err(ParquetError::General(format!(
            "pages of column `{}` have {bytes} bytes {what}, and with them {all} bytes of the row \
             group would be in memory; workers.memory leaves {} for them: set more, or run fewer workers, or \
             write the file with smaller pages",
            columns[column].name, self.most
        )))
    }

    fn columns(&self) -> MutexGuard<'_, Vec<Held>> {
        // A panic elsewhere leaves the count valid.
        self.columns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn room_for(most: u64) -> PageMemory {
        PageMemory::new(
            most,
            [("key", false), ("jpg", true)].map(|(name, packed)| (name.to_owned(), packed)).into_iter(),
        )
    }

    #[test]
    fn pages_of_one_batch_are_in_memory_together_and_those_of_the_one_before_are_not() {
        let memory = room_for(100);
        memory.dictionary(0, 10).unwrap();
        (0..3).for_each(|_| memory.page(1, 30).unwrap());
        let error = memory.page(1, 1).unwrap_err().to_string();
        assert!(
            error.contains("column `jpg` have 1 bytes decompressed") && error.contains("leaves 100"),
            "{error}"
        );
        let memory = room_for(100);
        memory.dictionary(0, 10).unwrap();
        for _ in 0..50 {
            memory.begin_batch();
            memory.page(1, 45).unwrap();
        }
        memory.page(1, 1).unwrap_err();
    }

    #[test]
    fn what_is_fetched_counts_and_a_promise_of_everything_is_refused() {
        let memory = room_for(100);
        memory.fetch(0, 40).unwrap();
        (0..3).for_each(|_| memory.fetch(1, 40).unwrap());
        memory.page(0, 40).expect("it is a part of what was fetched");
        assert!(memory.page(1, 21).unwrap_err().to_string().contains("`jpg`"));
        let memory = room_for(100);
        memory.fetch(0, 40).unwrap();
        memory.fetch(0, 40).unwrap();
        memory.fetch(0, 40).expect_err("rows may still share the first");
        room_for(u64::MAX - 1).fetch(0, u64::MAX).unwrap_err();
    }
}
