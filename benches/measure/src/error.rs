//! Reasons why a measurement failed.

use capfilt_blip::LoadError;
use capfilt_pipeline::{image_file::ImageFileError, model::ModelError};
use std::{io, path::PathBuf};
use tch::TchError;

/// Reason why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of a variant is its doc
pub enum MeasureError {
    #[error("cannot read the texts {}", path.display())]
    Texts { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Image(#[from] ImageFileError),
    #[error("{} or {} is empty", texts.display(), images.display())]
    Empty { texts: PathBuf, images: PathBuf },
    #[error("no picture of {} decodes", .0.display())]
    NoImage(PathBuf),
    #[error("{0}")]
    Tokens(String),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Device(#[from] TchError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl MeasureError {
    /// Whether the images or texts are wrong, not the models or the device.
    pub fn is_of_input(&self) -> bool {
        match self {
            Self::Texts { .. } | Self::Image(_) | Self::Empty { .. } | Self::NoImage(_) | Self::Tokens(_) => {
                true
            }
            Self::Load(_) | Self::Device(_) | Self::Model(_) => false,
        }
    }
}
