//! From Parquet to augmented batches, in an order that is a function of seed, epoch and index: a run that
//! goes on after a kill sees what it would have seen.

pub mod augment;
mod dataset;
mod draws;
mod loader;
mod order;
pub mod randaugment;
mod read;

pub use dataset::{Choice, Content, Dataset, JobTable, Source};
pub use draws::Draws;
pub use loader::Loader;
pub use read::MAX_WORDS;

use capfilt_pipeline::{input::ReadError, model::PixelBatch};
use serde::{Deserialize, Serialize};

/// A place between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub epoch: u64,
    /// Batches of the epoch behind it.
    pub step: u64,
}

/// Pairs that are learnt together.
pub struct Batch {
    pub pixels: PixelBatch,
    /// Cleaned, at most 30 words each (BLIP's `pre_caption`).
    pub texts: Vec<String>,
    /// Equal for equal images: from the hash of their bytes.
    pub image_ids: Vec<i64>,
    /// The place behind this batch.
    pub cursor: Cursor,
}

/// Why there is no next batch.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "{group}: none of its {rows} rows has both an image and a text; are data.image and data.text its columns?"
    )]
    NothingUsable { group: String, rows: usize },
    #[error("{pairs} pairs are no batch of {batch}: lower run.batch, or give more data")]
    TooFew { pairs: u64, batch: u32 },
    #[error("data.weight = {0}: a number above 0, up to 1000")]
    Weight(f64),
    #[error("the reader of the data stopped without a word")]
    Gone,
}
