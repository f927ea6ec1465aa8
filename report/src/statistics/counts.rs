//! Counts of one ledger, or the sum of several.

use super::{
    columns::{Rows, Texts},
    distinct::Distinct,
    frequent::Frequent,
    grid::Scores,
    rule::{Lottery, Rule},
    sample::{Place, mixed},
    samples::{Samples, Seen},
    texts::TextCounts,
};
use arrow::array::Array as _;
use capfilt_schemas::{
    status::{RowStatus, TextStatus},
    verdict::{admitted, verdicts},
};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher as _},
    ops::Range,
};

/// Counts of one ledger, or the sum of several. Memory: 250 MB at most, for repeated images and texts.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub rows: BTreeMap<RowStatus, u64>,
    /// Rows with a kept text.
    pub pairs: u64,
    /// By source.
    pub texts: Vec<TextCounts>,
    /// P(match) of the judged texts of the input, all sources together.
    pub web: Scores,
    pub control: Scores,
    pub samples: Samples,
    pub digests: Distinct,
    pub hashes: Distinct,
    pub frequent: Frequent,
    /// The first row that the table of truths does not fit, in words.
    pub truth_fault: Option<String>,
}

/// State of reading one ledger.
pub(super) struct Reading<'a> {
    pub rule: &'a Rule,
    pub lottery: Lottery,
    /// Number of the shard.
    pub shard: u32,
    /// Rows that were read.
    pub rows: u64,
    pub counts: Counts,
    /// Texts of the row that is read.
    judged: Vec<Seen>,
}

impl Counts {
    pub fn new(rule: &Rule) -> Self {
        Self {
            rows: BTreeMap::new(),
            pairs: 0,
            texts: (0..rule.sources.len()).map(|source| TextCounts::new(rule, source)).collect(),
            web: Scores::new(&rule.grid),
            control: Scores::new(&rule.grid),
            samples: Samples::new(rule),
            digests: Distinct::default(),
            hashes: Distinct::default(),
            frequent: Frequent::default(),
            truth_fault: None,
        }
    }

    pub fn merge(&mut self, other: Self) {
        other.rows.into_iter().for_each(|(status, n)| *self.rows.entry(status).or_default() += n);
        self.pairs += other.pairs;
        self.texts.iter_mut().zip(other.texts).for_each(|(sum, texts)| sum.merge(texts));
        self.web.merge(&other.web);
        self.control.merge(&other.control);
        self.samples.merge(other.samples);
        self.digests.merge(other.digests);
        self.hashes.merge(other.hashes);
        self.frequent.merge(other.frequent);
        self.truth_fault = self.truth_fault.take().or(other.truth_fault);
    }
}

impl<'a> Reading<'a> {
    pub fn new(rule: &'a Rule, file: &str, shard: u32) -> Self {
        let lottery = Lottery::new(rule.seed, file);
        Self { rule, lottery, shard, rows: 0, counts: Counts::new(rule), judged: Vec::new() }
    }

    /// Counts the rows of a batch.
    ///
    /// # Errors
    /// A sentence that names an unknown status or source.
    pub fn add(&mut self, rows: &Rows) -> Result<(), String> {
        for row in 0..rows.numbers.len() {
            let status = RowStatus::parse(rows.statuses.value(row));
            let status = status.ok_or_else(|| format!("unknown status `{}`", rows.statuses.value(row)))?;
            *self.counts.rows.entry(status).or_default() += 1;
            self.add_image(rows, row);
            let mut place =
                Place { shard: self.shard, offset: self.rows, row: rows.numbers.value(row), pair: None };
            let priority = self.lottery.priority(&place);
            self.rows += 1;
            if status != RowStatus::Judged {
                self.counts.samples.add_unjudged(status, place, priority);
                continue;
            }
            let range = rows.texts_of(row);
            if range.clone().any(|text| rows.texts.is_kept(text)) {
                place.pair = Some(self.counts.pairs);
                self.counts.pairs += 1;
            }
            let truths = self.truths(rows, row, range.clone());
            self.add_texts(&rows.texts, range, place, &truths)?;
            let (counts, judged) = (&mut self.counts, &self.judged);
            counts.samples.add_judged(self.rule, place, priority, judged);
        }
        Ok(())
    }

    fn add_image(&mut self, rows: &Rows, row: usize) {
        let counts = &mut self.counts;
        if rows.digests.is_valid(row) {
            let digest = rows.digests.value(row).as_bytes();
            // 64 of 256 bits: among a billion images, two different ones are equal with probability 3 %.
            let head = digest.iter().take(16).fold(0u64, |bits, digit| bits << 4 | hexadecimal(*digit));
            counts.digests.add(head);
        }
        if rows.hashes.is_valid(row) {
            counts.hashes.add(rows.hashes.value(row));
        }
        if rows.controls.is_valid(row) {
            self.add_control(rows.controls.value(row), rows.clip_control(row));
        }
    }

    /// Counts a negative control: for every source together, and for each source with a CLIP threshold.
    fn add_control(&mut self, itm: f32, clip: Option<f32>) {
        let Self { rule, counts, .. } = self;
        counts.control.add(&rule.grid, itm);
        let Some(clip_grid) = &rule.clip_grid else { return };
        for (source, counts) in counts.texts.iter_mut().enumerate() {
            let itm_of_rule = admitted(Some(itm), clip, rule.clip_thresholds[source]);
            if let (Some(itm), Some(control)) = (itm_of_rule, &mut counts.control) {
                control.add(&rule.grid, itm);
            }
            let reaches = f64::from(itm) >= rule.thresholds[source];
            if let (Some(clip), Some(counts), true) = (clip, &mut counts.clip, reaches) {
                counts.add_control(clip_grid, clip);
            }
        }
    }

    /// Truth of each text of a row; empty if no truth of the row is known.
    fn truths(&mut self, rows: &Rows, row: usize, range: Range<usize>) -> Vec<Option<bool>> {
        let key = rows.keys.filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row));
        let (Some(truths), Some(key)) = (&self.rule.truths, key) else { return Vec::new() };
        // A text of an unknown source is an error later.
        let source = |text| self.rule.source(rows.texts.sources.value(text)).unwrap_or(usize::MAX);
        let found = truths.of_row(key, &range.map(source).collect::<Vec<usize>>());
        found.unwrap_or_else(|why| {
            self.counts.truth_fault.get_or_insert(why);
            Vec::new()
        })
    }

    fn add_texts(
        &mut self,
        texts: &Texts,
        range: Range<usize>,
        place: Place,
        truths: &[Option<bool>],
    ) -> Result<(), String> {
        self.judged.clear();
        for (at, text) in range.enumerate() {
            let (name, status) = (texts.sources.value(text), texts.statuses.value(text));
            let source = self.rule.source(name).ok_or_else(|| format!("unknown source `{name}`"))?;
            let status = TextStatus::parse(status).ok_or_else(|| format!("unknown status `{status}`"))?;
            let counts = &mut self.counts.texts[source];
            *counts.statuses.entry(status).or_default() += 1;
            let is_kept = texts.is_kept(text);
            counts.kept += u64::from(is_kept);
            let Some(itm) = texts.itm(text) else { continue };
            let words = texts.text(text).unwrap_or_default();
            let language = texts.languages.is_valid(text).then(|| texts.languages.value(text));
            counts.judged.add(&self.rule.grid, itm);
            counts.add_words(words, language, is_kept);
            let truth = truths.get(at).copied().flatten();
            if let Some(is_true) = truth {
                let of_truth = &mut counts.truths[usize::from(is_true)];
                of_truth.judged += 1;
                of_truth.kept += u64::from(is_kept);
            }
            if !self.rule.is_synthetic(source) {
                self.counts.web.add(&self.rule.grid, itm);
            }
            let at = at as u32;
            self.counts.frequent.add(hash_of(words), place, at);
            let is_known = texts.repetitions.is_valid(text);
            let repetition = if is_known { texts.repetitions.value(text) } else { 0.0 };
            let characters = words.chars().count();
            let clip = texts.clip(text);
            self.judged.push(Seen { at, source, itm, clip, is_kept, characters, repetition, truth });
        }
        self.add_eligible();
        self.add_clip_scores();
        Ok(())
    }

    /// Counts the scores of the row's texts that may be kept at some threshold.
    fn add_eligible(&mut self) {
        let rule = self.rule;
        let admitted = |text: &Seen| admitted(Some(text.itm), text.clip, rule.clip_thresholds[text.source]);
        let captions = self.judged.iter().filter(|text| rule.is_synthetic(text.source));
        let scores: Vec<Option<f32>> = captions.map(admitted).collect();
        let mut among_best = verdicts(&scores, f64::NEG_INFINITY, rule.keep).into_iter();
        for text in &self.judged {
            let is_among_best = !rule.is_synthetic(text.source) || among_best.next().unwrap_or(false);
            if is_among_best && admitted(text).is_some() {
                let counts = &mut self.counts.texts[text.source];
                counts.eligible.add(&self.rule.grid, text.itm);
                if let Some(is_true) = text.truth {
                    counts.truths[usize::from(is_true)].eligible.add(&self.rule.grid, text.itm);
                }
            }
        }
    }

    /// Counts the CLIP scores of the row's texts. With `captioner.keep`, a CLIP threshold alone decides about
    /// the highest scores of the captions that reach the threshold of P(match).
    fn add_clip_scores(&mut self) {
        let rule = self.rule;
        let Some(grid) = &rule.clip_grid else { return };
        let reaches = |text: &&Seen| f64::from(text.itm) >= rule.thresholds[text.source];
        let captions = self.judged.iter().filter(|text| rule.is_synthetic(text.source)).filter(reaches);
        let mut best: Vec<f32> = captions.filter_map(|text| text.clip).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        best.truncate(rule.keep.map_or(usize::MAX, |keep| keep as usize));
        for text in &self.judged {
            let counts = &mut self.counts.texts[text.source].clip;
            let (Some(clip), Some(counts)) = (text.clip, counts) else { continue };
            let is_eligible = reaches(&text) && (!rule.is_synthetic(text.source) || take(&mut best, clip));
            counts.add(grid, clip, text, is_eligible);
        }
    }
}

/// Removes a score from a list, once; whether it was there.
fn take(scores: &mut Vec<f32>, score: f32) -> bool {
    let at = scores.iter().position(|other| other.total_cmp(&score).is_eq());
    at.map(|at| scores.swap_remove(at)).is_some()
}

fn hexadecimal(digit: u8) -> u64 {
    (digit as char).to_digit(16).unwrap_or(0).into()
}

/// Hash of a text, which is equal in every process.
fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    mixed(hasher.finish())
}
