//! Errors of making a data set.

use parquet::errors::ParquetError;
use std::{io, path::PathBuf};

/// Reason why pairs could not be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum MakeError {
    #[error("cannot write {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {path}")]
    Parquet {
        path: PathBuf,
        #[source]
        source: ParquetError,
    },
    #[error("cannot encode picture {number}")]
    Jpeg {
        number: u64,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} is left from another order and would be mixed with this one; remove it, or choose another \
        folder"
    )]
    Leftover { path: PathBuf },
    #[error("--vary places needs pictures with two shapes, but --objects is 1; leave out --objects")]
    OnePlace,
    #[error("--vary places is for pictures; the shapes of a clip are seen one after the other")]
    ClipPlaces,
    #[error(
        "--kind statements draws both pictures of a pair for the statement; leave out --alike and --vary"
    )]
    OwnPairs,
}

impl MakeError {
    /// Whether another order is needed.
    pub fn is_of_order(&self) -> bool {
        matches!(self, Self::Leftover { .. } | Self::OnePlace | Self::ClipPlaces | Self::OwnPairs)
    }
}
