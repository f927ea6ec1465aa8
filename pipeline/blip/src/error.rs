//! Errors of loading and computing, and classification of libtorch's errors.

use std::path::PathBuf;

use capfilt_pipeline::model::ModelError;
use tch::TchError;

use crate::weights_error::WeightsError;

/// Reason why a checkpoint could not be loaded. Every message says what failed, on which object, and why.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum LoadError {
    #[error("cannot read {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{folder} holds no {what}")]
    Missing { folder: PathBuf, what: &'static str },
    #[error("{path}: {reason}")]
    Format { path: PathBuf, reason: String },
    #[error("{path} is not a tokenizer this crate can read")]
    Tokenizer {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Boxed because the error lists every tensor that did not fit.
    #[error("weights in {path}: {problem}")]
    Weights { path: PathBuf, problem: Box<WeightsError> },
    #[error("settings of the model: {0}")]
    Options(String),
    #[error("device: {0}")]
    Device(String),
    #[error("libtorch, while loading {path}: {message}")]
    Backend { path: PathBuf, message: String },
}

/// Reason why a computation failed. It becomes a [`ModelError`] in the trait's methods, which know batch and
/// precision.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum ComputeError {
    #[error(transparent)]
    Torch(#[from] TchError),
    #[error("{0} are not numbers")]
    NotANumber(&'static str),
    #[error("{0}")]
    Input(String),
}

impl ComputeError {
    /// Converts to the error of the model traits, for a batch of `batch` images computed in `precision`.
    pub(crate) fn at_seam(self, batch: usize, precision: &'static str) -> ModelError {
        match self {
            Self::Torch(error) => model_error(&error, batch),
            Self::NotANumber(what) => ModelError::NotANumber { what, precision },
            Self::Input(message) => ModelError::Backend(message),
        }
    }
}

/// libtorch's message without its C++ stack trace.
pub(crate) fn first_lines(error: &TchError) -> String {
    let text = error.to_string();
    let text = text.split("Exception raised from").next().unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" ")
}

/// Converts a libtorch error. Out-of-memory has its own variant, because a smaller batch may succeed.
fn model_error(error: &TchError, batch: usize) -> ModelError {
    let message = first_lines(error);
    let lower = message.to_lowercase();
    let memory = [
        "out of memory",
        "can't allocate memory",
        "cannot allocate memory",
        "alloc_failed",
        "not enough memory",
    ];
    if memory.iter().any(|sign| lower.contains(sign)) {
        ModelError::OutOfMemory { batch, message }
    } else {
        ModelError::Backend(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_memory_is_distinguished_from_other_errors() {
        let cuda = TchError::Torch(
            "CUDA out of memory. Tried to allocate 2 GiB\nException raised from malloc".into(),
        );
        assert!(matches!(model_error(&cuda, 8), ModelError::OutOfMemory { batch: 8, .. }));
        let cpu = TchError::Torch(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes".into(),
        );
        assert!(matches!(model_error(&cpu, 8), ModelError::OutOfMemory { .. }));
        assert!(matches!(model_error(&TchError::Torch("shape".into()), 8), ModelError::Backend(_)));
    }
}
