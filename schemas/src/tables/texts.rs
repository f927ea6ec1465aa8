//! Texts of a row, in one shape for the texts of the input and of the captioner, and their scores by name.

pub use super::embedding::{Embedding, embedding};
use crate::status::{TextStatus, closed_set};
use arrow::datatypes::{DataType, Field};
use std::{fmt, sync::Arc};

/// Source of generated captions; a text column of the input may not have this name.
pub const SYNTHETIC: &str = "synthetic";

/// Source of the input's text in tables of version 1, which have one text column.
pub const WEB: &str = "web";

closed_set! {
    /// A score of an image and a text, by its name in tables. Tables, readers and comparisons have one column
    /// per member; the last member only in jobs that compute it.
    Score {
        /// P(match) of the image-text matching head, 0 to 1; thresholds are compared with this score.
        Itm = "itm",
        /// Cosine of the contrastive features, −1 to 1.
        Itc = "itc",
        /// CLIP score: 100 × the cosine of CLIP's vectors, in a job with `models.clip`.
        Clip = "clip",
    }
}

impl Score {
    /// The scores of a job with or without CLIP, in the order of the tables.
    pub(super) fn of(with_clip: bool) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |score| with_clip || *score != Self::Clip)
    }

    /// The column or field of the score.
    pub(super) fn field(self, nullable: bool) -> Field {
        Field::new(self.as_str(), DataType::Float32, nullable)
    }
}

/// Columns of ledger and pairs that not every job has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptionalColumns {
    /// Numbers of each vector of the ledger; `None` without vectors.
    pub embeddings: Option<usize>,
    /// Whether texts have a CLIP score.
    pub clip: bool,
}

/// Scores and verdict of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// P(match), 0 to 1.
    pub itm: f32,
    /// Cosine, −1 to 1.
    pub itc: f32,
    /// CLIP score, −100 to 100, in a job with `models.clip`.
    pub clip: Option<f32>,
    /// Whether the scores reach the thresholds of the text's source, and no better texts displace the text.
    pub kept: bool,
}

impl Scored {
    /// A score by name; `None` if the job does not compute it.
    pub fn score(&self, score: Score) -> Option<f32> {
        match score {
            Score::Itm => Some(self.itm),
            Score::Itc => Some(self.itc),
            Score::Clip => self.clip,
        }
    }
}

/// A text of a row with its outcome: of a text column of the input, or generated.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerText {
    /// Name of the text column, or [`SYNTHETIC`].
    pub source: Arc<str>,
    /// The unchanged text of the input, or the caption without the prompt.
    pub text: Option<String>,
    /// Outcome of the text.
    pub status: TextStatus,
    /// Scores of the text; `None` if the text was not judged.
    pub scored: Option<Scored>,
    /// Language of the text, as an ISO 639-1 code where there is one; `None` if it was not determined.
    pub language: Option<String>,
    /// Share of repeated word pairs in the text, 0 to 1; `None` if it was not determined.
    pub repetition: Option<f32>,
    /// Vector of the text, in a job with `output.embeddings`.
    pub embedding: Option<Embedding>,
}

impl LedgerText {
    /// A text without scores.
    pub fn new(source: Arc<str>, text: Option<String>, status: TextStatus) -> Self {
        Self { source, text, status, scored: None, language: None, repetition: None, embedding: None }
    }

    /// Whether the captioner wrote the text.
    pub fn is_synthetic(&self) -> bool {
        &*self.source == SYNTHETIC
    }

    /// Whether the text is kept.
    pub fn is_kept(&self) -> bool {
        self.scored.is_some_and(|scored| scored.kept)
    }
}
