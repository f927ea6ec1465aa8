//! One image while it is judged: its texts, the queries to the filter, and the verdicts.

use crate::{
    captions::Captions,
    input::SourceText,
    model::{ImageScores, TextScore},
    prepare::{Prepared, PreparedImage, PreparedText},
    rule::Rule,
};
use capfilt_schemas::{
    ledger::LedgerRow,
    status::{RowStatus, TextStatus},
    texts::{LedgerText, SYNTHETIC, Scored, embedding},
    verdict::{admitted, verdicts},
};
use std::sync::Arc;

/// The text that a score belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The text with this index in the row of the ledger.
    Text(usize),
    /// The text of another row: the negative control.
    Control,
}

/// A cleaned text that the filter scores for one image.
struct Query {
    target: Target,
    text: String,
}

/// An image with its texts, and the queries to the filter.
pub(crate) struct Judging<'a> {
    pub row: &'a Prepared,
    pub image: &'a PreparedImage,
    /// Texts of the input, then captions, without scores.
    texts: Vec<LedgerText>,
    /// In the order in which the filter scores them.
    queries: Vec<Query>,
    /// CLIP scores of the texts; those without one follow.
    clip: Vec<Option<f32>>,
    /// CLIP score of the negative control.
    control_clip: Option<f32>,
    /// Reasons why captions are missing, for people.
    notes: Vec<String>,
}

impl<'a> Judging<'a> {
    /// An image with the texts of the input.
    pub fn of(row: &'a Prepared, image: &'a PreparedImage) -> Self {
        let mut judging = Self {
            row,
            image,
            texts: inputs(row),
            queries: Vec::new(),
            clip: Vec::new(),
            control_clip: None,
            notes: row.sample.note.iter().chain(&image.note).cloned().collect(),
        };
        row.texts.iter().enumerate().for_each(|(at, prepared)| judging.query(at, prepared));
        judging
    }

    fn query(&mut self, at: usize, prepared: &PreparedText) {
        if let Ok(cleaned) = &prepared.cleaned {
            self.queries.push(Query { target: Target::Text(at), text: cleaned.clone() });
        }
    }

    /// Adds the captions, which follow the texts of the input.
    pub fn add_captions(&mut self, captions: Captions, rule: &Rule) {
        let source: Arc<str> = SYNTHETIC.into();
        for caption in captions {
            let prepared = match &caption {
                Ok(text) => caption_of(text, rule),
                Err(why) => {
                    self.notes.push(format!("no caption: {why}"));
                    PreparedText::not(TextStatus::NoCaption)
                }
            };
            self.query(self.texts.len(), &prepared);
            self.texts.push(prepared.in_ledger(Arc::clone(&source), caption.ok()));
        }
    }

    /// Adds the query about the text of another row.
    pub fn add_control(&mut self) {
        let control = self.row.sample.control.clone();
        self.queries.extend(control.map(|text| Query { target: Target::Control, text }));
    }

    /// Number of queries so far.
    pub fn queries(&self) -> usize {
        self.queries.len()
    }

    /// Texts of the queries after the first ones.
    pub fn query_texts(&self, after: usize) -> Vec<String> {
        self.queries[after..].iter().map(|query| query.text.clone()).collect()
    }

    /// Texts that are judged and have no CLIP score: those of the row unchanged, the negative control as
    /// cleaned for the filter.
    pub fn without_clip(&self) -> Vec<(Target, &str)> {
        let texts = self.queries.iter().filter_map(|query| match query.target {
            Target::Text(at) if self.clip_of(at).is_none() => {
                Some((query.target, self.texts[at].text.as_deref().unwrap_or_default()))
            }
            Target::Control if self.control_clip.is_none() => Some((query.target, query.text.as_str())),
            Target::Text(_) | Target::Control => None,
        });
        texts.collect()
    }

    /// Sets the CLIP score of a text.
    pub fn set_clip(&mut self, target: Target, score: f32) {
        match target {
            Target::Text(at) => {
                self.clip.resize(self.texts.len(), None);
                self.clip[at] = Some(score);
            }
            Target::Control => self.control_clip = Some(score),
        }
    }

    fn clip_of(&self, at: usize) -> Option<f32> {
        self.clip.get(at).copied().flatten()
    }

    /// Whether a text is kept by these scores of the first queries.
    pub fn keeps_a_text(&self, scores: &[TextScore], rule: &Rule) -> bool {
        self.queries.iter().zip(scores).any(|(query, score)| match query.target {
            Target::Text(at) => {
                let source = &self.texts[at].source;
                let least = rule.filter.clip_threshold(source);
                let itm = admitted(Some(score.itm), self.clip_of(at), least);
                itm.is_some_and(|itm| f64::from(itm) >= rule.filter.threshold(source))
            }
            Target::Control => false,
        })
    }

    /// Ledger row of the image; `scores.texts[i]` belongs to query `i`.
    pub fn verdict(self, file: &str, rule: &Rule, scores: ImageScores) -> LedgerRow {
        let Self { row, image, mut texts, queries, clip, control_clip, notes } = self;
        let ImageScores { texts: scores, features } = scores;
        assert_eq!(scores.len(), queries.len(), "the filter scores every text that it receives");
        let (image_embedding, vectors) = match features {
            Some(features) => (Some(embedding(&features.image)), features.texts),
            None => (None, Vec::new()),
        };
        let mut control_itm = None;
        for (i, (query, score)) in queries.iter().zip(&scores).enumerate() {
            match query.target {
                Target::Text(at) => {
                    let clip = clip.get(at).copied().flatten();
                    texts[at].scored = Some(Scored { itm: score.itm, itc: score.itc, clip, kept: false });
                    texts[at].embedding = vectors.get(i).map(|vector| embedding(vector));
                }
                Target::Control => control_itm = Some(score.itm),
            }
        }
        decide(&mut texts, rule);
        LedgerRow {
            width: Some(image.width),
            height: Some(image.height),
            image_hash: image.hash,
            image_embedding,
            status: RowStatus::Judged,
            texts,
            control_itm,
            control_clip,
            detail: Some(notes.join("; ")).filter(|detail| !detail.is_empty()),
            ..unjudged(file, row)
        }
    }
}

/// Prepares a caption. One that repeats itself too much is not judged.
fn caption_of(text: &str, rule: &Rule) -> PreparedText {
    let prepared = PreparedText::of(text, rule.filter.max_words as usize, &rule.filter.languages);
    let repetition = f64::from(prepared.repetition.unwrap_or_default());
    if prepared.cleaned.is_ok() && rule.captioner.max_repetition.is_some_and(|most| repetition > most) {
        return PreparedText { cleaned: Err(TextStatus::Repetitive), ..prepared };
    }
    prepared
}

/// Sets the verdicts of scored texts: each text of the input by its thresholds, the captions together.
fn decide(texts: &mut [LedgerText], rule: &Rule) {
    let (captions, inputs): (Vec<_>, Vec<_>) = texts.iter_mut().partition(|text| text.is_synthetic());
    let keep = rule.captioner.keep;
    let groups = inputs.into_iter().map(|text| (vec![text], None)).chain([(captions, keep)]);
    for (group, keep) in groups.filter(|(group, _)| !group.is_empty()) {
        let source = &group[0].source;
        let least = rule.filter.clip_threshold(source);
        let itm = |text: &&mut LedgerText| {
            text.scored.and_then(|scored| admitted(Some(scored.itm), scored.clip, least))
        };
        let itm: Vec<Option<f32>> = group.iter().map(itm).collect();
        let kept = verdicts(&itm, rule.filter.threshold(source), keep);
        for (text, kept) in group.into_iter().zip(kept) {
            text.scored.iter_mut().for_each(|scored| scored.kept = kept);
        }
    }
}

/// Texts of the input without scores.
pub(crate) fn inputs(row: &Prepared) -> Vec<LedgerText> {
    let texts = row.sample.texts.iter().zip(&row.texts);
    let text = |(input, prepared): (&SourceText, &PreparedText)| {
        prepared.in_ledger(Arc::clone(&input.source), input.text.as_text().map(str::to_owned))
    };
    texts.map(text).collect()
}

/// Ledger row with the fields that do not depend on the row's outcome.
pub(crate) fn unjudged(file: &str, row: &Prepared) -> LedgerRow {
    LedgerRow {
        key: row.sample.key.clone(),
        member: row.sample.member.clone(),
        image_sha256: row.image_sha256,
        detail: row.sample.note.clone(),
        ..LedgerRow::missing(file, row.sample.row)
    }
}
