//! Reasons why a training run stopped.

use std::path::PathBuf;

use capfilt_blip::{LoadError, weights::WeightsError};
use tch::TchError;

/// Reason why a training run stopped. Checkpoints that were written stay valid.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum TrainError {
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
    #[error("weights {0}")]
    Weights(Box<WeightsError>),
    #[error("the checkpoint to start from")]
    Load(#[from] LoadError),
    #[error("tokenizer: {0}")]
    Tokens(String),
    #[error("data")]
    Data(#[from] crate::data::DataError),
    #[error("settings: {0}")]
    Settings(String),
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Format { path: PathBuf, reason: String },
    #[error(
        "the loss is not a number at step {step} (itc {itc}, itm {itm}, lm {lm}): lower \
        optimizer.learning_rate or set optimizer.clip_norm; the last checkpoint is step {saved}"
    )]
    NotANumber { step: u64, itc: f64, itm: f64, lm: f64, saved: u64 },
    #[error("another process trains in {folder}; wait for it, or choose another run.folder")]
    Busy { folder: PathBuf },
    #[error("internal error (bug): {0}")]
    Bug(&'static str),
}
