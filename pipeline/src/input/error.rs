//! Errors of reading a shard.

use capfilt_links::NetworkDown;
use capfilt_store::StoreError;
use parquet::errors::ParquetError;

/// Error of a column that is missing, or has another type than required.
#[derive(Debug, thiserror::Error)]
#[error("column `{column}` {problem}")]
pub struct ColumnError {
    /// Name of the column.
    pub column: String,
    /// Predicate of the sentence about the column.
    pub problem: String,
}

/// Reason why reading a shard failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read as Parquet, or the store fails.
    #[error("{file}: {source}")]
    Parquet {
        /// Path of the file.
        file: String,
        /// Error of the Parquet reader; it contains the store's.
        #[source]
        source: ParquetError,
    },
    /// A column cannot be used.
    #[error("{file}: {source}")]
    Column {
        /// Path of the file.
        file: String,
        /// Fault of the column.
        #[source]
        source: ColumnError,
    },
    /// The store fails while a file other than Parquet is read.
    #[error("{file}: {source}")]
    Store {
        /// Path of the file.
        file: String,
        /// Error of the store; boxed, because it is larger than all others.
        #[source]
        source: Box<StoreError>,
    },
    /// The file cannot be read in its format, which is not Parquet.
    #[error("{file}: not readable as {format}: {why}")]
    Format {
        /// Path of the file.
        file: String,
        /// Name of the format.
        format: &'static str,
        /// Fault of the file.
        why: String,
    },
    /// The Parquet reader panicked.
    #[error("{file}: the Parquet reader gave up: {message}")]
    Panic {
        /// Path of the file.
        file: String,
        /// Message of the panic.
        message: String,
    },
    /// No host answers any more.
    #[error(transparent)]
    Network(#[from] NetworkDown),
    /// The file has another number of rows than planned.
    #[error("{file}: the shard has {found} rows, planned were {planned}")]
    Rows {
        /// Path of the file.
        file: String,
        /// Rows in the plan or the commit.
        planned: u64,
        /// Rows in the file.
        found: u64,
    },
}

impl ReadError {
    /// The store's error, if the store caused the failure.
    pub fn bucket(&self) -> Option<&StoreError> {
        match self {
            Self::Parquet { source: ParquetError::External(source), .. } => source.downcast_ref(),
            Self::Store { source, .. } => Some(source),
            _ => None,
        }
    }
}
