//! Corpus BLEU (Papineni et al., 2002), with the smoothing constants of COCO's evaluation and the length of
//! the closest reference.

use std::collections::BTreeMap;

/// Longest n-gram.
pub const LONGEST: usize = 4;

/// Smoothing constants of COCO's evaluation: they keep one precision of 0 from making the product 0.
const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

/// Counts of a text's n-grams of `n` words.
pub(crate) fn grams(words: &[String], n: usize) -> BTreeMap<&[String], u32> {
    let mut counts = BTreeMap::new();
    words.windows(n).for_each(|gram| *counts.entry(gram).or_insert(0) += 1);
    counts
}

/// BLEU-1 to BLEU-4, 0 to 1, of captions against the references of their images.
pub fn bleu<'a>(pairs: impl IntoIterator<Item = (&'a [String], &'a [Vec<String>])>) -> [f64; LONGEST] {
    let (mut correct, mut guessed) = ([0_u64; LONGEST], [0_u64; LONGEST]);
    let (mut length, mut reference_length) = (0, 0);
    for (caption, references) in pairs {
        length += caption.len();
        let closest = |reference: &Vec<String>| (reference.len().abs_diff(caption.len()), reference.len());
        reference_length += references.iter().min_by_key(|reference| closest(reference)).map_or(0, Vec::len);
        for n in 1..=LONGEST {
            guessed[n - 1] += (caption.len() + 1).saturating_sub(n) as u64;
            correct[n - 1] += u64::from(clipped(caption, references, n));
        }
    }
    let ratio = (length as f64 + TINY) / (reference_length as f64 + SMALL);
    let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
    let mut product = 1.0;
    std::array::from_fn(|i| {
        product *= (correct[i] as f64 + TINY) / (guessed[i] as f64 + SMALL);
        product.powf(1.0 / (i + 1) as f64) * brevity
    })
}

/// Number of a caption's n-grams that references have; each counts at most as often as in the reference that
/// has it most often.
fn clipped(caption: &[String], references: &[Vec<String>], n: usize) -> u32 {
    let references: Vec<_> = references.iter().map(|reference| grams(reference, n)).collect();
    let most =
        |gram: &[String]| references.iter().filter_map(|counts| counts.get(gram)).max().copied().unwrap_or(0);
    grams(caption, n).into_iter().map(|(gram, count)| count.min(most(gram))).sum()
}
