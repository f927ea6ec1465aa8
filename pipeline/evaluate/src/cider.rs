//! CIDEr-D (Vedantam et al., 2015): captions and references as vectors of weighted n-grams, compared by
//! cosine.

use crate::bleu::{LONGEST, grams};
use std::collections::{BTreeMap, BTreeSet};

/// Standard deviation of the length penalty, in words.
const SIGMA: f64 = 6.0;

/// A text as one vector per n, by n-gram.
struct Vectors<'a> {
    weights: [BTreeMap<&'a [String], f64>; LONGEST],
    norms: [f64; LONGEST],
    /// Number of bigrams, the measure of length in COCO's evaluation.
    length: f64,
}

/// Number of images whose references have an n-gram, and number of all images.
struct Frequencies<'a> {
    of: BTreeMap<&'a [String], u32>,
    images: f64,
}

impl<'a> Frequencies<'a> {
    fn count(references: impl Iterator<Item = &'a [Vec<String>]>) -> Self {
        let (mut of, mut images) = (BTreeMap::new(), 0);
        for references in references {
            let all: BTreeSet<&[String]> =
                references.iter().flat_map(|text| (1..=LONGEST).flat_map(move |n| text.windows(n))).collect();
            all.into_iter().for_each(|gram| *of.entry(gram).or_insert(0) += 1);
            images += 1;
        }
        Self { of, images: f64::from(images) }
    }

    /// Rare n-grams have a larger weight.
    fn weight(&self, gram: &[String]) -> f64 {
        self.images.ln() - f64::from(self.of.get(gram).copied().unwrap_or(0).max(1)).ln()
    }

    fn vectors(&self, words: &'a [String]) -> Vectors<'a> {
        let weights = std::array::from_fn(|i| {
            grams(words, i + 1)
                .into_iter()
                .map(|(gram, count)| (gram, f64::from(count) * self.weight(gram)))
                .collect()
        });
        let norm = |weights: &BTreeMap<&[String], f64>| {
            weights.values().map(|weight| weight * weight).sum::<f64>().sqrt()
        };
        let norms = std::array::from_fn(|i| norm(&weights[i]));
        Vectors { weights, norms, length: words.len().saturating_sub(1) as f64 }
    }
}

/// CIDEr-D of each caption, 0 to 10; papers print its mean times 100. The n-gram weights come from these
/// references.
pub fn cider(pairs: &[(&[String], &[Vec<String>])]) -> Vec<f64> {
    let frequencies = Frequencies::count(pairs.iter().map(|(_, references)| *references));
    let of_image = |(caption, references): &(&[String], &[Vec<String>])| {
        let caption = frequencies.vectors(caption);
        let all: f64 =
            references.iter().map(|reference| similarity(&caption, &frequencies.vectors(reference))).sum();
        10.0 * all / references.len().max(1) as f64
    };
    pairs.iter().map(of_image).collect()
}

/// Mean over n of the clipped cosine, multiplied by the length penalty.
fn similarity(caption: &Vectors<'_>, reference: &Vectors<'_>) -> f64 {
    let apart = caption.length - reference.length;
    let penalty = (-apart * apart / (2.0 * SIGMA * SIGMA)).exp();
    let of_n = |i: usize| {
        let shared = caption.weights[i]
            .iter()
            .filter_map(|(gram, weight)| Some((weight, reference.weights[i].get(gram)?)));
        let product = shared.fold(0.0, |sum, (weight, other)| sum + weight.min(*other) * other);
        let norms = caption.norms[i] * reference.norms[i];
        if norms > 0.0 { product / norms } else { product }
    };
    (0..LONGEST).map(of_n).fold(0.0, |sum, n| sum + n) / LONGEST as f64 * penalty
}
