//! One score of a source with its threshold: the numbers of a panel of the page.

use crate::{
    Statistics,
    statistics::{Scale, SourceStatistics, TruthRates},
};

/// One score of a source. Every list of counts has one entry per position.
#[derive(Debug, Clone, Copy)]
pub struct Axis<'a> {
    /// Source of the texts.
    pub source: &'a SourceStatistics,
    /// The score.
    pub scale: Scale,
    /// Positions of the threshold.
    pub positions: &'a [f64],
    /// The job's threshold; `None` if the score decides nothing.
    pub threshold: Option<f64>,
    /// Index of the threshold among the positions.
    pub position: usize,
    /// Texts with the score.
    pub scored: u64,
    /// Texts that the job would keep.
    pub kept_at: &'a [u64],
    /// Negative controls that the thresholds of the source keep.
    pub control_at: &'a [u64],
    /// All negative controls.
    pub controls: u64,
    /// Texts in each bar.
    pub bars: &'a [u64],
    /// Verdicts on texts whose truth is known.
    pub truth: Option<&'a TruthRates>,
}

impl<'a> Axis<'a> {
    /// The scores of all sources, in the order of the page: P(match) of a source, then its CLIP score.
    pub fn all(statistics: &'a Statistics) -> Vec<Self> {
        let of = |source| [Some(Self::of_match(statistics, source)), Self::of_clip(statistics, source)];
        statistics.sources.iter().flat_map(of).flatten().collect()
    }

    fn of_match(statistics: &'a Statistics, source: &'a SourceStatistics) -> Self {
        Self {
            source,
            scale: Scale::Match,
            positions: statistics.positions.positions(),
            threshold: Some(source.threshold),
            position: source.position,
            scored: source.judged,
            kept_at: &source.kept_at,
            control_at: &source.control_at,
            controls: statistics.control.judged,
            bars: &source.bars,
            truth: source.truth.as_ref(),
        }
    }

    fn of_clip(statistics: &'a Statistics, source: &'a SourceStatistics) -> Option<Self> {
        let clip = source.clip.as_ref()?;
        Some(Self {
            source,
            scale: Scale::Clip,
            positions: statistics.clip_positions.as_ref()?.positions(),
            threshold: clip.threshold,
            position: clip.position,
            scored: clip.scored,
            kept_at: &clip.kept_at,
            control_at: &clip.control_at,
            controls: statistics.control.judged,
            bars: &clip.bars,
            truth: clip.truth.as_ref(),
        })
    }

    /// Name of the score.
    pub fn score(&self) -> &'static str {
        match self.scale {
            Scale::Match => "P(match)",
            Scale::Clip => "CLIP score",
        }
    }

    /// Place of a threshold on the axis, 0 to 1.
    pub fn place(&self, threshold: f64) -> f64 {
        (threshold / self.scale.top()).clamp(0.0, 1.0)
    }

    /// Share of the texts that a position keeps, 0 to 1; `None` without a text.
    pub fn share_at(&self, position: usize) -> Option<f64> {
        (self.scored > 0).then(|| self.kept_at[position] as f64 / self.scored as f64)
    }

    /// Share of the negative controls that a position keeps, 0 to 1; `None` without a control.
    pub fn control_share_at(&self, position: usize) -> Option<f64> {
        (self.controls > 0).then(|| self.control_at[position] as f64 / self.controls as f64)
    }

    /// Number of texts that a position would keep if all of them belonged to other images.
    pub fn false_accepts_at(&self, position: usize) -> Option<f64> {
        self.control_share_at(position).map(|share| share * self.scored as f64)
    }
}
