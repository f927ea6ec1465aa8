//! Error of reading a shard.

use super::ColumnError;
use capfilt_store::StoreError;
use parquet::errors::ParquetError;

/// Reason why reading a shard failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{file}: {source}")]
    Parquet {
        file: String,
        #[source]
        source: ParquetError,
    },
    #[error("{file}: {source}")]
    Column {
        file: String,
        #[source]
        source: ColumnError,
    },
    #[error("{file}: the Parquet reader gave up: {message}")]
    Panic { file: String, message: String },
    #[error("{file}: the shard has {found} rows, planned were {planned}")]
    Rows { file: String, planned: u64, found: u64 },
}

impl ReadError {
    /// The store's error, if the store caused the failure.
    pub fn bucket(&self) -> Option<&StoreError> {
        match self {
            Self::Parquet { source: ParquetError::External(source), .. } => source.downcast_ref(),
            _ => None,
        }
    }
}
