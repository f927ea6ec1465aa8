//! From Parquet to augmented batches, in an order that is a function of seed, epoch and index: a resumed run
//! gets the same batches as an uninterrupted one.

mod augment;
mod dataset;
mod draws;
mod loader;
mod order;
mod questions;
pub mod randaugment;
mod read;
mod statements;

pub use dataset::{Choice, Content, Dataset, JobTable, RowKind, Source};
pub use draws::Draws;
pub use loader::Loader;
pub use questions::{Answer, Answers, MOST_ANSWERS};
pub use read::MAX_WORDS;

use capfilt_pipeline::{input::ReadError, model::PixelBatch};
use serde::{Deserialize, Serialize};

/// A position between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Number of finished epochs.
    pub epoch: u64,
    /// Number of batches of the epoch before this position.
    pub step: u64,
}

/// Pairs of one training step.
pub struct Batch {
    /// Decoded and augmented images. Of statements about pairs, all first images and then all second ones.
    pub pixels: PixelBatch,
    /// Cleaned texts of at most 30 words each (BLIP's `pre_caption`), or cleaned questions or statements.
    pub texts: Vec<String>,
    /// Different answers to each question; empty for texts that are not questions.
    pub answers: Vec<Vec<Answer>>,
    /// Truth of each statement, 1 for true; empty for texts that are not statements.
    pub labels: Vec<i64>,
    /// Equal for equal images: from the hash of their bytes.
    pub image_ids: Vec<i64>,
    /// Position after this batch.
    pub cursor: Cursor,
}

/// Reason why there is no next batch.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum DataError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "{group}: none of its {rows} rows has both an image and a text (train vqa: a question and an \
        answer; train nlvr: two images, a statement and its label); does [[data]] name its columns?"
    )]
    NothingUsable { group: String, rows: usize },
    #[error("{pairs} pairs are fewer than one batch of {batch}: lower run.batch, or give more data")]
    TooFew { pairs: u64, batch: u32 },
    #[error("data.weight = {0}: a number above 0, up to 1000")]
    Weight(f64),
    #[error("the data loader thread exited unexpectedly")]
    Gone,
}
