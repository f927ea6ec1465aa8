//! Notes for the ledger about values that could not be read.

use super::restore::Places;
use std::collections::BTreeMap;

/// Values that were read as null, by the row's position in its batch.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<usize, Vec<String>>);

impl Notes {
    pub(super) fn add(&mut self, column: &str, lost: &Places) {
        for (row, why) in lost {
            let (note, notes) = (why.note(column), self.0.entry(*row).or_default());
            // The condition and the pass-through columns may read the same column.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }

    pub(super) fn of(&self, row: usize) -> Option<String> {
        self.0.get(&row).map(|notes| notes.join("; "))
    }
}
