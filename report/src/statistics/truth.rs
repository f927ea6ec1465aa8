//! Verdicts on texts whose truth is known.

use super::grid::{Grid, Scores};
use serde::Serialize;

/// Counts of the texts of a source that are true, or of those that are false.
#[derive(Debug, Clone)]
pub(super) struct OfTruth {
    /// Judged texts.
    pub judged: u64,
    /// Texts that the job keeps.
    pub kept: u64,
    /// P(match) of the texts that a threshold alone decides about.
    pub eligible: Scores,
}

impl OfTruth {
    pub fn new(grid: &Grid) -> Self {
        Self { judged: 0, kept: 0, eligible: Scores::new(grid) }
    }

    pub fn merge(&mut self, other: &Self) {
        self.judged += other.judged;
        self.kept += other.kept;
        self.eligible.merge(&other.eligible);
    }
}

/// Verdicts of a source on texts whose truth is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthRates {
    /// Judged texts whose truth is known.
    pub known: u64,
    /// True ones of them.
    pub are_true: u64,
    /// Known texts that the job keeps.
    pub kept: u64,
    /// True ones of them.
    pub kept_true: u64,
    /// Known texts that the job would keep with its threshold at each position.
    pub kept_at: Vec<u64>,
    /// True ones of them.
    pub kept_true_at: Vec<u64>,
}

impl TruthRates {
    pub(super) fn of([of_false, of_true]: &[OfTruth; 2]) -> Self {
        let kept_true_at = of_true.eligible.at_least();
        let all = kept_true_at.iter().zip(of_false.eligible.at_least());
        Self {
            known: of_true.judged + of_false.judged,
            are_true: of_true.judged,
            kept: of_true.kept + of_false.kept,
            kept_true: of_true.kept,
            kept_at: all.map(|(of_true, of_false)| of_true + of_false).collect(),
            kept_true_at,
        }
    }

    /// The same texts, where a CLIP threshold decides: scores of those that are eligible.
    pub(super) fn at_clip(&self, [of_false, of_true]: &[Scores; 2]) -> Self {
        let kept_true_at = of_true.at_least();
        let all = kept_true_at.iter().zip(of_false.at_least());
        Self { kept_at: all.map(|(of_true, of_false)| of_true + of_false).collect(), kept_true_at, ..*self }
    }

    /// Share of true texts among those that a position keeps, 0 to 1; `None` if it keeps none.
    pub fn precision_at(&self, position: usize) -> Option<f64> {
        share(self.kept_true_at[position], self.kept_at[position])
    }

    /// Share of the true texts that a position keeps, 0 to 1; `None` without a true text.
    pub fn recall_at(&self, position: usize) -> Option<f64> {
        share(self.kept_true_at[position], self.are_true)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
