//! What of a row group is in memory, counted before it is fetched or decoded.

use parquet::errors::{ParquetError, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The count of one row group, of which one batch of rows after the other is decoded.
///
/// A batch shares the memory of its pages. So the count has of each column the dictionary, the page that was
/// the last one before the batch, and all pages that are decoded for the batch. Compressed bytes are let go
/// when others are fetched; a page that is not compressed is a part of what was fetched, which then stays as
/// long as a page does.
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
    /// Room for `most` bytes of columns with these names, which are compressed or not.
    pub(super) fn new(most: u64, columns: impl Iterator<Item = (String, bool)>) -> Self {
        let held = columns.map(|(name, is_compressed)| Held { name, is_compressed, ..Held::default() });
        Self { most, columns: Mutex::new(held.collect()) }
    }

    /// A batch begins: the one before is gone.
    pub(super) fn begin_batch(&self) {
        for held in self.columns().iter_mut() {
            (held.pages, held.fetched) = (held.last_page, held.last_fetched);
        }
    }

    /// # Errors
    /// When there is no room for so many compressed bytes of a column; they must not be fetched then.
    pub(super) fn fetch(&self, column: usize, bytes: u64) -> Result<()> {
        self.add(column, "in the file", bytes, |held| {
            let before = if held.is_compressed { 0 } else { held.fetched };
            (held.last_fetched, held.fetched) = (bytes, before.saturating_add(bytes));
        })
    }

    /// # Errors
    /// When there is no room for a page of so many bytes; it must not be decoded then.
    pub(super) fn page(&self, column: usize, bytes: u64) -> Result<()> {
        self.add(column, "decompressed", bytes, |held| {
            // Else it is counted as fetched.
            let bytes = if held.is_compressed { bytes } else { 0 };
            (held.last_page, held.pages) = (bytes, held.pages.saturating_add(bytes));
        })
    }

    /// # Errors
    /// As for any other page.
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
            "pages of column `{}` have {bytes} bytes {what}, and with them {all} bytes of the row group would be in memory; \
             workers.memory leaves {} for them: set more, or run fewer workers, or write the file with smaller pages",
            columns[column].name, self.most
        )))
    }

    fn columns(&self) -> MutexGuard<'_, Vec<Held>> {
        // The count is right whoever panicked.
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
