//! The negative control: which other row's text an image is also judged against.
//!
//! Chosen within the row group, since row groups are never cut: the choice does not depend on how a job is sharded, on
//! batches or on workers. It tells, without labels, what share of *random* texts passes at a threshold.

use crate::text::{Judgeable, judgeable, pre_caption};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The judgeable texts of one row group, cleaned.
pub(super) struct ControlTexts {
    texts: Vec<Arc<str>>,
    max_words: usize,
    seed: u64,
}

/// Rows that are looked at for a text that differs from the row's own, before there is no control.
const TRIES: usize = 8;

impl ControlTexts {
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a str>, max_words: usize, seed: u64) -> Self {
        let cleaned = texts.map(|text| pre_caption(text, max_words));
        let texts = cleaned.filter(|text| matches!(judgeable(text), Judgeable::Yes)).map(Arc::from).collect();
        Self { texts, max_words, seed }
    }

    /// For rows that are not judged.
    pub(super) fn none() -> Self {
        Self { texts: Vec::new(), max_words: 0, seed: 0 }
    }

    /// A text that is not the row's own, cleaned; the same for the same seed and row.
    pub(super) fn choose(&self, row: u64, own: Option<&str>) -> Option<String> {
        let own = own.map(|text| pre_caption(text, self.max_words));
        if self.texts.is_empty() {
            return None;
        }
        let digest = Sha256::new().chain_update(b"control").chain_update(self.seed.to_le_bytes());
        let digest = digest.chain_update(row.to_le_bytes()).finalize();
        let start = u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
        let at = |step: usize| &self.texts[((start % self.texts.len() as u64) as usize + step) % self.texts.len()];
        (0..TRIES.min(self.texts.len()))
            .map(at)
            .find(|text| Some(text.as_ref()) != own.as_deref())
            .map(|text| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_another_text_and_always_the_same_one() {
        let texts = ["A cat.", "a dog", "", "***", "a cat"];
        let control = ControlTexts::new(texts.into_iter(), 30, 7);
        for row in 0..100 {
            let chosen = control.choose(row, Some("a cat"));
            assert_eq!(chosen.as_deref(), Some("a dog"));
            assert_eq!(control.choose(row, None), control.choose(row, None));
        }
        assert_eq!(ControlTexts::new(["a cat"].into_iter(), 30, 7).choose(0, Some("a cat")), None);
    }
}
