//! Whose fault a failed read of a Parquet file is.

use capfilt_bucket::BucketError;
use parquet::errors::ParquetError;

/// Tells the store's failure (the error) from the file's own fault (the text).
pub(crate) fn fault_of_file(error: ParquetError) -> Result<String, BucketError> {
    match error {
        ParquetError::External(source) => match source.downcast::<BucketError>() {
            Ok(error) => Err(*error),
            Err(other) => Ok(format!("not readable as Parquet: {other}")),
        },
        error => Ok(format!("not readable as Parquet: {error}")),
    }
}
