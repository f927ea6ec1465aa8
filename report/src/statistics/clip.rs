//! CLIP scores of the texts of one source, in a job with `models.clip`.

use super::{
    grid::{Grid, Scale, Scores, bars},
    rule::Rule,
    samples::Seen,
    truth::TruthRates,
};
use serde::Serialize;

/// Counts of the CLIP scores of one source.
#[derive(Debug, Clone)]
pub(super) struct ClipCounts {
    /// All scores.
    scored: Scores,
    /// Scores of the texts that a CLIP threshold alone decides about: those that reach the threshold of
    /// P(match); with `captioner.keep`, the highest of each image.
    eligible: Scores,
    /// Negative controls that reach the threshold of P(match).
    control: Scores,
    /// The eligible ones that are known to be false, and to be true.
    truths: [Scores; 2],
}

impl ClipCounts {
    pub fn new(grid: &Grid) -> Self {
        let none = || Scores::new(grid);
        Self { scored: none(), eligible: none(), control: none(), truths: [none(), none()] }
    }

    pub fn add_control(&mut self, grid: &Grid, clip: f32) {
        self.control.add(grid, clip);
    }

    /// Counts a judged text, and whether a CLIP threshold alone decides about it.
    pub fn add(&mut self, grid: &Grid, clip: f32, text: &Seen, is_eligible: bool) {
        self.scored.add(grid, clip);
        if is_eligible {
            self.eligible.add(grid, clip);
            text.truth.iter().for_each(|is_true| self.truths[usize::from(*is_true)].add(grid, clip));
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.scored.merge(&other.scored);
        self.eligible.merge(&other.eligible);
        self.control.merge(&other.control);
        self.truths.iter_mut().zip(&other.truths).for_each(|(sum, scores)| sum.merge(scores));
    }
}

/// CLIP scores of a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClipStatistics {
    /// The job's CLIP threshold; `None` if CLIP scores of the source decide nothing.
    pub threshold: Option<f64>,
    /// Index of the threshold among the positions; the first one, which every score reaches, without a
    /// threshold.
    pub position: usize,
    /// Texts with a CLIP score.
    pub scored: u64,
    /// Texts that the job would keep with its CLIP threshold at each position.
    pub kept_at: Vec<u64>,
    /// Negative controls that the thresholds of the source keep, with the CLIP threshold at each position.
    pub control_at: Vec<u64>,
    /// Texts in each bar of the histogram.
    pub bars: Vec<u64>,
    /// Verdicts on texts whose truth is known; `None` without a column of truths of the source, and with
    /// `captioner.keep`, where a CLIP threshold also changes which captions are the best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<TruthRates>,
}

impl ClipStatistics {
    /// The statistics of a source; `truth` are the verdicts of the job.
    pub(super) fn of(rule: &Rule, source: usize, counts: &ClipCounts, truth: Option<&TruthRates>) -> Self {
        let grid = rule.clip_grid.as_ref().expect("a job whose CLIP scores are counted has their positions");
        let threshold = rule.clip_thresholds[source];
        let all = counts.scored.at_least();
        let truth = truth.filter(|_| rule.keep.is_none() || !rule.is_synthetic(source));
        Self {
            threshold,
            position: threshold.map_or(0, |threshold| grid.index_of(threshold)),
            scored: counts.scored.all(),
            kept_at: counts.eligible.at_least(),
            control_at: counts.control.at_least(),
            bars: bars(Scale::Clip, grid, &all),
            truth: truth.map(|truth| truth.at_clip(&counts.truths)),
        }
    }
}
