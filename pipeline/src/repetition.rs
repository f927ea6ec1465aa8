//! Repetition of a text: the share of its word pairs that occur before in the same text.
//!
//! Language models sometimes fall into loops ("a red circle and a red circle and a red circle"). The measure
//! is seq-rep-n of Welleck et al. 2020 ("Neural Text Generation with Unlikelihood Training",
//! [arXiv 1908.04319](https://arxiv.org/abs/1908.04319), section 6): 1 − distinct n-grams / n-grams; the
//! share of distinct n-grams is distinct-n of Li et al. 2016 ([arXiv
//! 1510.03055](https://arxiv.org/abs/1510.03055)). The papers take n = 4 for long texts; captions have about
//! ten words, so n is 2 here.

use crate::text::pre_caption;
use std::collections::HashSet;

/// Repetition of a text, 0 (every pair of neighbouring words occurs once) to almost 1; 0 for fewer than two
/// words. Words are those of the cleaned text: case and most punctuation do not count.
pub fn repetition(text: &str) -> f32 {
    let cleaned = pre_caption(text, usize::MAX - 1);
    let words: Vec<&str> = cleaned.split_whitespace().collect();
    let pairs = words.len().saturating_sub(1);
    if pairs == 0 {
        return 0.0;
    }
    let distinct: HashSet<&[&str]> = words.windows(2).collect();
    (pairs - distinct.len()) as f32 / pairs as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_repetition_and_a_natural_caption_is_nearly_none() {
        for (text, expected) in [
            ("", 0.0),
            ("dog", 0.0),
            ("a dog", 0.0),
            ("dog dog dog dog dog", 0.75),
            ("A red circle. A RED circle! a red circle", 0.625),
            ("a man in a red shirt and a woman in a red dress", 2.0 / 12.0),
        ] {
            assert_eq!(repetition(text), expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_measured_as_a_whole() {
        let distinct: String = (0..3000).map(|i| format!("w{i} ")).collect();
        assert_eq!(repetition(&distinct), 0.0);
        assert!(repetition(&distinct.repeat(2)) > 0.49);
    }
}
