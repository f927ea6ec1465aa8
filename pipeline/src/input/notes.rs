//! What the ledger is told of values that could not be read.

use super::restore::Places;
use std::collections::BTreeMap;

/// What became null as it was read, by the row's place in its batch.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<usize, Vec<String>>);

impl Notes {
    pub(super) fn add(&mut self, column: &str, lost: &Places) {
        for (row, why) in lost {
            let (told, notes) = (why.told(column), self.0.entry(*row).or_default());
            // A column may be looked at by the condition and pass through.
            if !notes.contains(&told) {
                notes.push(told);
            }
        }
    }

    pub(super) fn of(&self, row: usize) -> Option<String> {
        self.0.get(&row).map(|notes| notes.join("; "))
    }
}
