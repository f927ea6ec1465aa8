//! Counts of the texts of one source.

use super::{clip::ClipCounts, grid::Scores, rule::Rule, truth::OfTruth};
use capfilt_schemas::status::TextStatus;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most languages that are counted separately; the detector knows fewer than a hundred.
const LANGUAGES: usize = 256;

/// Least number of words of each class of lengths; a text without a word is in the first class.
pub const LENGTHS: [usize; 10] = [0, 1, 2, 3, 5, 9, 17, 33, 65, 129];

/// Counts of a group of texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Judged texts.
    pub judged: u64,
    /// Kept texts.
    pub kept: u64,
}

impl Group {
    fn add(&mut self, is_kept: bool) {
        self.judged += 1;
        self.kept += u64::from(is_kept);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.judged += other.judged;
        self.kept += other.kept;
    }
}

/// Counts of the texts of one source.
#[derive(Debug, Clone)]
pub struct TextCounts {
    /// Texts of judged rows, by status.
    pub statuses: BTreeMap<TextStatus, u64>,
    /// Kept texts.
    pub kept: u64,
    /// P(match) of all judged texts.
    pub judged: Scores,
    /// P(match) of the texts that a threshold alone decides about: those that reach the CLIP threshold; with
    /// `captioner.keep`, the best captions of each image.
    pub eligible: Scores,
    /// P(match) of the negative controls that reach the CLIP threshold of the source, if it has one.
    pub control: Option<Scores>,
    /// CLIP scores, in a job that has them.
    pub(super) clip: Option<ClipCounts>,
    /// Judged texts by language.
    pub languages: BTreeMap<String, Group>,
    /// Judged texts by number of words, in the classes of [`LENGTHS`].
    pub lengths: [Group; LENGTHS.len()],
    /// Judged texts that are known to be false, and to be true.
    pub(super) truths: [OfTruth; 2],
}

impl TextCounts {
    pub(super) fn new(rule: &Rule, source: usize) -> Self {
        let grid = &rule.grid;
        Self {
            control: rule.clip_thresholds[source].map(|_| Scores::new(grid)),
            clip: rule.clip_grid.as_ref().map(ClipCounts::new),
            statuses: BTreeMap::new(),
            kept: 0,
            judged: Scores::new(grid),
            eligible: Scores::new(grid),
            languages: BTreeMap::new(),
            lengths: [Group::default(); LENGTHS.len()],
            truths: [OfTruth::new(grid), OfTruth::new(grid)],
        }
    }

    /// Counts the language and the words of a judged text.
    pub(super) fn add_words(&mut self, text: &str, language: Option<&str>, is_kept: bool) {
        let words = text.split_whitespace().count();
        self.lengths[LENGTHS.partition_point(|least| *least <= words) - 1].add(is_kept);
        let language = language.unwrap_or("unknown");
        if let Some(group) = self.languages.get_mut(language) {
            group.add(is_kept);
        } else {
            let name = if self.languages.len() < LANGUAGES { language } else { "other" };
            self.languages.entry(name.to_owned()).or_default().add(is_kept);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        other.statuses.into_iter().for_each(|(status, n)| *self.statuses.entry(status).or_default() += n);
        self.kept += other.kept;
        self.judged.merge(&other.judged);
        self.eligible.merge(&other.eligible);
        self.control.iter_mut().zip(&other.control).for_each(|(sum, scores)| sum.merge(scores));
        self.clip.iter_mut().zip(&other.clip).for_each(|(sum, counts)| sum.merge(counts));
        for (language, group) in other.languages {
            self.languages.entry(language).or_default().merge(group);
        }
        self.lengths.iter_mut().zip(other.lengths).for_each(|(sum, group)| sum.merge(group));
        self.truths.iter_mut().zip(&other.truths).for_each(|(sum, texts)| sum.merge(texts));
    }
}
