//! Errors of an evaluation.

use capfilt_blip::ComputeError;
use capfilt_pipeline::{input::ReadError, model::ModelError};
use std::path::PathBuf;

/// Reason why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum EvaluateError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error("column `{0}` is not text")]
    NotText(String),
    #[error("cannot read the answers of {path}: {reason}")]
    AnswerList { path: PathBuf, reason: String },
    #[error("there are {images} images with a text; retrieval needs at least two, captions at least one")]
    TooFew { images: usize },
    #[error("all images have the same text, so there are no false pairs; name rows with several texts")]
    OneText,
}

impl From<tch::TchError> for EvaluateError {
    fn from(error: tch::TchError) -> Self {
        Self::Compute(error.into())
    }
}
