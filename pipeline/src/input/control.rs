//! The negative control: a text of another row, against which an image is also scored.
//!
//! The control is chosen within the row group. Row groups are not split, so the choice does not depend on
//! shards, batches or workers. The control measures, without labels, the share of *random* texts that passes
//! a threshold.

use super::SourceText;
use crate::text::{Judgeable, judgeable, pre_caption};
use sha2::{Digest as _, Sha256};

/// Cleaned, judgeable texts of one row group.
///
/// Memory: [`MOST_BYTES`] and eight bytes per text. A text of `max_words` words has about 200 bytes.
pub(super) struct ControlTexts {
    /// All texts, concatenated.
    texts: String,
    /// End of each text in `texts`.
    ends: Vec<usize>,
    max_words: usize,
    seed: u64,
}

/// Largest number of bytes of all texts together. Later texts of the row group are not used as controls.
const MOST_BYTES: usize = 256 << 20;

/// Largest number of bytes of a cleaned text; a longer text does not consist of words.
const LONGEST: usize = 4 << 10;

/// Number of candidates that are compared with the row's text before the row has no control.
const TRIES: usize = 8;

impl ControlTexts {
    pub(super) fn new(max_words: usize, seed: u64) -> Self {
        Self { texts: String::new(), ends: Vec::new(), max_words, seed }
    }

    /// Adds the first text of the next row that can be judged.
    pub(super) fn add(&mut self, texts: &[SourceText]) {
        let mut cleaned = texts.iter().filter_map(|text| self.cleaned(text));
        let Some(cleaned) = cleaned.find(|text| matches!(judgeable(text), Judgeable::Yes)) else { return };
        if cleaned.len() <= LONGEST && self.texts.len() + cleaned.len() <= MOST_BYTES {
            self.texts.push_str(&cleaned);
            self.ends.push(self.texts.len());
        }
    }

    fn cleaned(&self, text: &SourceText) -> Option<String> {
        text.text.as_text().map(|text| pre_caption(text, self.max_words))
    }

    /// For rows that are not judged.
    pub(super) fn none() -> Self {
        Self::new(0, 0)
    }

    /// Chooses a cleaned text that differs from all texts of the row; deterministic in seed and row.
    pub(super) fn choose(&self, row: u64, own: &[SourceText]) -> Option<String> {
        let texts = self.ends.len();
        if texts == 0 {
            return None;
        }
        let own: Vec<String> = own.iter().filter_map(|text| self.cleaned(text)).collect();
        let digest = Sha256::new().chain_update(b"control").chain_update(self.seed.to_le_bytes());
        let digest = digest.chain_update(row.to_le_bytes()).finalize();
        let start = u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
        let at = |step: usize| self.text(((start % texts as u64) as usize + step) % texts);
        (0..TRIES.min(texts)).map(at).find(|text| own.iter().all(|own| own != text)).map(str::to_owned)
    }

    fn text(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[at]]
    }
}

#[cfg(test)]
mod tests {
    use super::{super::TextInput, *};

    fn texts(texts: &[&str]) -> Vec<SourceText> {
        let text = |text: &&str| SourceText { source: "t".into(), text: TextInput::Text((*text).to_owned()) };
        texts.iter().map(text).collect()
    }

    #[test]
    fn a_control_is_another_text_and_always_the_same_one() {
        let of = |rows: &[&[&str]]| {
            let mut control = ControlTexts::new(30, 7);
            rows.iter().for_each(|row| control.add(&texts(row)));
            control
        };
        let control = of(&[&["A cat."], &["a dog"], &[""], &["***"], &["a cat"]]);
        for row in 0..100 {
            let chosen = control.choose(row, &texts(&["a cat"]));
            assert_eq!(chosen.as_deref(), Some("a dog"));
            assert_eq!(control.choose(row, &[]), control.choose(row, &[]));
            assert_eq!(control.choose(row, &texts(&["a dog", "a cat"])), None, "all texts are the row's");
        }
        assert_eq!(of(&[&["a cat"]]).choose(0, &texts(&["a cat"])), None);
        assert_eq!(of(&[&["***", "a cat", "a dog"]]).choose(0, &[]).as_deref(), Some("a cat"));
        assert_eq!(
            of(&[&[&"x".repeat(LONGEST + 1)]]).choose(0, &[]),
            None,
            "a text of one word of 4 kB is not judged"
        );
    }
}
