//! Names that a listing returned and that no request can carry.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Most names that are kept; further ones are dropped. Memory: at most this many names of 1 kB.
const KEPT: usize = 1000;

/// An object, a file or a folder that a listing skipped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passed {
    /// Full name in the store, escaped: safe for a terminal, a log and a record.
    pub name: String,
    /// Reason why the name was skipped.
    pub why: String,
    /// Whether it is a folder whose content was not listed.
    pub is_folder: bool,
}

/// Names that the listings of one URL skipped since the last [`Self::take`].
#[derive(Debug, Default)]
pub struct PassedOver {
    all: Mutex<BTreeMap<String, Passed>>,
}

impl PassedOver {
    /// Returns the names noted so far, sorted and each once, however often it was listed.
    pub fn take(&self) -> Vec<Passed> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    pub(crate) fn note(&self, passed: Passed) {
        tracing::debug!("skipped: {}: {}", passed.name, passed.why);
        let mut all = self.lock();
        if all.len() < KEPT {
            all.insert(passed.name.clone(), passed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Passed>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name, with escapes for its control characters and for bytes that are not UTF-8.
pub fn escaped(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let escape =
            |c: char| c.is_control() || c == '\\' || c == '\u{2028}' || c == '\u{2029}' || is_bidi(c);
        for c in chunk.valid().chars() {
            if escape(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| write!(shown, "\\x{byte:02x}").expect("writing to a string cannot fail"));
    }
    shown
}

/// Whether the character makes a terminal show the following text in another order.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_name_is_shown_without_harm_to_a_terminal() {
        assert_eq!(escaped("données/犬.parquet".as_bytes()), "données/犬.parquet");
        assert_eq!(escaped(b"a\tb\nc\x1b[2J\x7f"), "a\\tb\\nc\\u{1b}[2J\\u{7f}");
        assert_eq!(escaped(b"caf\xe9.txt"), "caf\\xe9.txt");
    }

    #[test]
    fn a_name_that_is_listed_twice_is_returned_once() {
        let passed_over = PassedOver::default();
        let passed = Passed { name: "a".to_owned(), why: "b".to_owned(), is_folder: false };
        passed_over.note(passed.clone());
        passed_over.note(passed.clone());
        assert_eq!(passed_over.take(), [passed]);
        assert!(passed_over.take().is_empty());
    }
}
