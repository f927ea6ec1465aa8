//! Comparison of a model's answers with known answers.

use super::{PICTURES, TEXTS};
use crate::model::{TextScore, TokenLogProb};
use capfilt_schemas::{
    self_test::{KnownAnswers, KnownCaption, KnownScore},
    settings::Precision,
};
use std::fmt;

/// Largest allowed distance to a known answer, which was computed in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Limit for P(match) and cosine.
    pub score: f32,
    /// Limit for the logarithms of P(match) and of a token's probability: 0.01 is one per cent of the
    /// probability. P(match) of most texts is almost 0, where only the logarithm shows a difference.
    pub log_probability: f32,
}

impl Tolerance {
    /// Tolerance for answers in this precision.
    ///
    /// f32 has the limit of the parity tests with transformers; devices differ by a hundredth of it. Half
    /// precision has several times the differences measured on a CPU, as (score, logarithm): bf16 (0.003,
    /// 0.04) with the demo's models and (0.025, 0.14) with BLIP-base of random weights; f16, with three more
    /// bits, (0.0003, 0.005) and (0.003, 0.011); int8 scores (0.06, 0.12). With wrong weights or broken
    /// devices, differences are above 1.
    pub fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self { score: 1e-4, log_probability: 1e-3 },
            Precision::F16 => Self { score: 0.02, log_probability: 0.1 },
            Precision::Int8 => Self { score: 0.25, log_probability: 0.5 },
            // `auto` is not resolved here, so it has the tolerance of the coarsest precision.
            Precision::Bf16 | Precision::Auto => Self { score: 0.1, log_probability: 0.5 },
        }
    }

    /// Tolerance between two machines that compute in this precision: each may differ from the exact answer.
    pub fn between_two(precision: Precision) -> Self {
        let Self { score, log_probability } = Self::of(precision);
        Self { score: 2.0 * score, log_probability: 2.0 * log_probability }
    }
}

/// Differences of the compared answers so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    tolerance: Tolerance,
    /// Number of compared values.
    pub numbers: usize,
    /// Largest differences.
    pub score: f32,
    /// As `score`, of the log-probabilities.
    pub log_probability: f32,
    off: usize,
    first: Option<String>,
}

/// Error of an answer that differs from the known one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReproduced {
    /// Answers exceed the tolerance.
    #[error("{off} of {numbers} known answers are not reproduced; the first: {first}")]
    Answers {
        /// Answers that exceed the tolerance.
        off: usize,
        /// Compared answers.
        numbers: usize,
        /// The first difference, for people.
        first: String,
    },
    /// The record has fewer answers than questions.
    #[error("{0}")]
    Missing(String),
}

/// Checks that the record has all answers, in the order of the questions; captions only with a captioner.
pub(super) fn is_whole(known: &KnownAnswers, has_captioner: bool) -> Result<(), NotReproduced> {
    let missing = |what: String| Err(NotReproduced::Missing(format!("it has no answer for {what}")));
    let mut scores = known.scores.iter();
    for (picture, text) in PICTURES.iter().flat_map(|picture| TEXTS.iter().map(move |text| (*picture, *text)))
    {
        if scores.next().is_none_or(|score| score.picture != picture || score.text != text) {
            return missing(format!("picture `{picture}` and text `{text}`"));
        }
    }
    let mut captions = known.captions.iter();
    for picture in PICTURES.into_iter().filter(|_| has_captioner) {
        let is_one = |caption: &KnownCaption| {
            caption.picture == picture && (1..caption.ids.len()).contains(&caption.log_probabilities.len())
        };
        if !captions.next().is_some_and(is_one) {
            return missing(format!("the caption of picture `{picture}`"));
        }
    }
    match (scores.next(), captions.next()) {
        (None, None) => Ok(()),
        _ => Err(NotReproduced::Missing("it has answers to unknown questions".to_owned())),
    }
}

impl Agreement {
    pub(super) fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, numbers: 0, score: 0.0, log_probability: 0.0, off: 0, first: None }
    }

    pub(super) fn add_scores(&mut self, known: &[KnownScore], found: &[TextScore]) {
        let Tolerance { score, log_probability } = self.tolerance;
        for (known, found) in known.iter().zip(found) {
            let of = |what: &str| format!("{what} of picture `{}` and text `{}`", known.picture, known.text);
            let gaps = [
                self.add(|| of("P(match)"), known.itm, found.itm, score),
                self.add(|| of("cosine"), known.itc, found.itc, score),
            ];
            self.score = gaps.into_iter().fold(self.score, f32::max);
            let gap = self.add(|| of("ln P(match)"), ln(known.itm), ln(found.itm), log_probability);
            self.log_probability = self.log_probability.max(gap);
        }
    }

    pub(super) fn add_caption(&mut self, known: &KnownCaption, found: &[TokenLogProb]) {
        let limit = self.tolerance.log_probability;
        let words = known.log_probabilities.len();
        let prompt = known.ids.len() - words;
        let of = |word: usize| format!("word {} of the caption of picture `{}`", word + 1, known.picture);
        for (i, (known_odds, log_probs)) in known.log_probabilities.iter().zip(found).enumerate() {
            let id = known.ids[prompt + i];
            let what = || format!("the log-probability of id {id}, {}", of(i));
            let gap = self.add(what, *known_odds, log_probs.log_probability, limit);
            self.log_probability = self.log_probability.max(gap);
            // The known token was the most probable one. Each of the two tokens may have moved by the limit.
            if log_probs.likeliest != id
                && exceeds(log_probs.highest - log_probs.log_probability, 2.0 * limit)
            {
                let (likeliest, ahead) = (log_probs.likeliest, log_probs.highest - log_probs.log_probability);
                self.note(|| format!("{}: expected id {id}, got id {likeliest}, ahead by {ahead:.4}", of(i)));
            }
        }
        if found.len() != words {
            let (got, picture) = (found.len(), &known.picture);
            self.note(|| format!("the caption of picture `{picture}`: expected {words} words, got {got}"));
        }
    }

    /// Compares one value and returns the difference.
    fn add(&mut self, what: impl Fn() -> String, known: f32, found: f32, limit: f32) -> f32 {
        let gap = (known - found).abs();
        self.numbers += 1;
        if exceeds(gap, limit) {
            self.note(|| format!("{}: expected {known}, got {found}, tolerance {limit}", what()));
        }
        if gap.is_nan() { f32::INFINITY } else { gap }
    }

    fn note(&mut self, what: impl Fn() -> String) {
        self.off += 1;
        self.first.get_or_insert_with(what);
    }

    pub(super) fn conclude(self) -> Result<Self, NotReproduced> {
        match self.first {
            Some(first) => Err(NotReproduced::Answers { off: self.off, numbers: self.numbers, first }),
            None => Ok(self),
        }
    }
}

/// Logarithm of a probability that may have been rounded to 0.
fn ln(probability: f32) -> f32 {
    (probability + 1e-9).ln()
}

/// True also for NaN.
fn exceeds(gap: f32, limit: f32) -> bool {
    gap.is_nan() || gap > limit
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numbers, score, words) = (self.numbers, self.score, self.log_probability);
        write!(
            f,
            "{numbers} known answers reproduced: scores within {score:.1e}, log-probabilities within \
            {words:.1e}"
        )
    }
}

#[cfg(test)]
mod tests;
