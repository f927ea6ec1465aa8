//! Numbers of one source of texts.

use super::{
    clip::ClipStatistics,
    counts::Counts,
    galleries,
    grid::{Scale, bars},
    rule::Rule,
    sample::Sampled,
    texts::{Group, LENGTHS, TextCounts},
    truth::TruthRates,
};
use capfilt_schemas::status::TextStatus;
use serde::Serialize;
use std::collections::BTreeMap;

/// Numbers of one source of texts.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatistics {
    /// Name of the text column, or `synthetic`.
    pub source: String,
    /// The job's threshold.
    pub threshold: f64,
    /// Index of the threshold among the positions.
    pub position: usize,
    /// Texts of judged rows, by status.
    pub statuses: BTreeMap<TextStatus, u64>,
    /// Judged texts.
    pub judged: u64,
    /// Texts that the job keeps.
    pub kept: u64,
    /// Judged texts whose P(match) reaches each position.
    pub at_least: Vec<u64>,
    /// Texts that the job would keep with its threshold at each position.
    pub kept_at: Vec<u64>,
    /// Negative controls that the thresholds of the source keep, with the one of P(match) at each position.
    pub control_at: Vec<u64>,
    /// Judged texts in each bar of the histogram.
    pub bars: Vec<u64>,
    /// Judged texts by language.
    pub languages: BTreeMap<String, Group>,
    /// Judged texts by number of words, in the classes of [`LENGTHS`].
    pub lengths: [Group; LENGTHS.len()],
    /// Verdicts on texts whose truth is known; `None` without a column of truths of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<TruthRates>,
    /// CLIP scores, of a job that has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<ClipStatistics>,
    /// Texts nearest to the job's threshold.
    #[serde(skip)]
    pub nearest: Vec<Sampled>,
    /// Sampled texts of each bar.
    #[serde(skip)]
    pub samples: Vec<Vec<Sampled>>,
}

/// Numbers of every source.
pub(super) fn of_counts(rule: &Rule, all: &Counts) -> Vec<SourceStatistics> {
    let mut of_bars = galleries::of_bars(&all.samples, rule);
    let has_truths = |source| rule.truths.as_ref().is_some_and(|truths| truths.has(source));
    let of = |(at, counts): (usize, &TextCounts)| {
        let at_least = counts.judged.at_least();
        let truth = has_truths(at).then(|| TruthRates::of(&counts.truths));
        let clip = |clip| ClipStatistics::of(rule, at, clip, truth.as_ref());
        SourceStatistics {
            source: rule.sources[at].clone(),
            threshold: rule.thresholds[at],
            position: rule.grid.index_of(rule.thresholds[at]),
            statuses: counts.statuses.clone(),
            judged: counts.judged.all(),
            kept: counts.kept,
            control_at: counts.control.as_ref().unwrap_or(&all.control).at_least(),
            bars: bars(Scale::Match, &rule.grid, &at_least),
            at_least,
            kept_at: counts.eligible.at_least(),
            languages: counts.languages.clone(),
            lengths: counts.lengths,
            clip: counts.clip.as_ref().map(clip),
            truth,
            nearest: all.samples.nearest[at].entries().to_vec(),
            samples: std::mem::take(&mut of_bars[at]),
        }
    };
    all.texts.iter().enumerate().map(of).collect()
}
