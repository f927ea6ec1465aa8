//! The samples of rows that the galleries show.

use super::{
    grid::{BARS, bar_of},
    rule::{GALLERY_ROWS, Rule, STATUS_ROWS},
    sample::{Best, Place, Sampled},
};
use capfilt_schemas::status::RowStatus;
use std::collections::BTreeMap;

/// A judged or unjudged text, as the samples see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Number of the text in its row.
    pub at: u32,
    /// Number of its source.
    pub source: usize,
    /// P(match).
    pub itm: f32,
    /// CLIP score, in a job that has them.
    pub clip: Option<f32>,
    /// Whether the text is kept.
    pub is_kept: bool,
    /// Characters of the text.
    pub characters: usize,
    /// Share of repeated word pairs.
    pub repetition: f32,
    /// Whether the text is true; `None` if that is unknown.
    pub truth: Option<bool>,
}

/// Samples of a ledger, or of all. Memory: 80 bytes per sampled row, a few hundred rows.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    pub best_dropped: Best,
    pub worst_kept: Best,
    pub synthetic_wins: Best,
    pub web_wins: Best,
    pub nothing_kept: Best,
    pub longest: Best,
    pub shortest: Best,
    pub repetitive: Best,
    /// Rows that were not judged, by status.
    pub statuses: BTreeMap<RowStatus, Best>,
    /// Texts nearest to the threshold, by source.
    pub nearest: Vec<Best>,
    /// Texts of each bar, by source.
    pub bars: Vec<Vec<Best>>,
}

impl Samples {
    pub fn new(rule: &Rule) -> Self {
        let best = || Best::of(GALLERY_ROWS);
        Self {
            best_dropped: best(),
            worst_kept: best(),
            synthetic_wins: best(),
            web_wins: best(),
            nothing_kept: best(),
            longest: best(),
            shortest: best(),
            repetitive: best(),
            statuses: BTreeMap::new(),
            nearest: rule.sources.iter().map(|_| best()).collect(),
            bars: rule.sources.iter().map(|_| vec![Best::of(rule.bar_rows); BARS]).collect(),
        }
    }

    /// Adds a row that was not judged.
    pub fn add_unjudged(&mut self, status: RowStatus, place: Place, priority: u64) {
        let entry = Sampled { place, text: None, score: 0.0, rank: 0.0, priority };
        self.statuses.entry(status).or_insert_with(|| Best::of(STATUS_ROWS)).add(entry);
    }

    /// Adds a judged row with its judged texts.
    pub fn add_judged(&mut self, rule: &Rule, place: Place, priority: u64, texts: &[Seen]) {
        for text in texts {
            self.add_text(rule, place, priority, text);
        }
        let entry = |text: Option<u32>, score: f64| Sampled { place, text, score, rank: score, priority };
        if place.pair.is_none() && !texts.is_empty() {
            self.nothing_kept.add(entry(None, 0.0));
        }
        let best = |synthetic: bool| {
            let of = texts.iter().filter(|text| rule.is_synthetic(text.source) == synthetic);
            of.max_by(|a, b| a.itm.total_cmp(&b.itm))
        };
        if let (Some(web), Some(synthetic)) = (best(false), best(true)) {
            let lead = f64::from(synthetic.itm) - f64::from(web.itm);
            if lead > 0.0 {
                self.synthetic_wins.add(entry(Some(synthetic.at), lead));
            } else if lead < 0.0 {
                self.web_wins.add(entry(Some(web.at), -lead));
            }
        }
    }

    fn add_text(&mut self, rule: &Rule, place: Place, priority: u64, text: &Seen) {
        let itm = f64::from(text.itm);
        let entry = |score, rank| Sampled { place, text: Some(text.at), score, rank, priority };
        if text.is_kept {
            self.worst_kept.add(entry(itm, -itm));
        } else {
            self.best_dropped.add(entry(itm, itm));
        }
        self.nearest[text.source].add(entry(itm, -(itm - rule.thresholds[text.source]).abs()));
        if let Some(bar) = bar_of(text.itm) {
            self.bars[text.source][bar].add(entry(itm, 0.0));
        }
        let characters = text.characters as f64;
        self.longest.add(entry(characters, characters));
        self.shortest.add(entry(characters, -characters));
        if text.repetition > 0.0 {
            self.repetitive.add(entry(text.repetition.into(), text.repetition.into()));
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.best_dropped.merge(other.best_dropped);
        self.worst_kept.merge(other.worst_kept);
        self.synthetic_wins.merge(other.synthetic_wins);
        self.web_wins.merge(other.web_wins);
        self.nothing_kept.merge(other.nothing_kept);
        self.longest.merge(other.longest);
        self.shortest.merge(other.shortest);
        self.repetitive.merge(other.repetitive);
        for (status, best) in other.statuses {
            self.statuses.entry(status).or_insert_with(|| Best::of(STATUS_ROWS)).merge(best);
        }
        self.nearest.iter_mut().zip(other.nearest).for_each(|(sum, best)| sum.merge(best));
        for (sums, bars) in self.bars.iter_mut().zip(other.bars) {
            sums.iter_mut().zip(bars).for_each(|(sum, best)| sum.merge(best));
        }
    }
}
