//! Reader for the rows of a shard, in the format of its file.

use super::{InputColumns, ReadError, Rows, parquet::ParquetReader};
use arrow::datatypes::Field;
use capfilt_schemas::plan::{InputFormat, Shard};
use capfilt_store::Location;

/// Reads one shard in order, up to `batch_rows` rows or 64 MiB at a time.
///
/// Memory: [`InputColumns::memory`] for the input that is being decoded, and the returned rows.
pub struct ShardReader(FormatReader);

/// One reader per [`InputFormat`].
enum FormatReader {
    Parquet(Box<ParquetReader>),
}

impl ShardReader {
    /// Opens the shard's file; no row is read.
    ///
    /// # Errors
    /// The file cannot be read, has changed since the plan, or lacks a column.
    pub async fn open(
        input: &Location,
        shard: &Shard,
        columns: InputColumns,
        batch_rows: usize,
    ) -> Result<Self, ReadError> {
        Ok(Self(match InputFormat::of(&shard.file.path) {
            InputFormat::Parquet => {
                let reader = ParquetReader::open(input, shard, columns, batch_rows).await?;
                FormatReader::Parquet(Box::new(reader))
            }
        }))
    }

    /// Pass-through columns with the types of the pairs table.
    pub fn passthrough(&self) -> &[Field] {
        match &self.0 {
            FormatReader::Parquet(reader) => reader.passthrough(),
        }
    }

    /// Returns the next rows, or `None` after the last.
    ///
    /// # Errors
    /// The file cannot be read, or the shard has another number of rows than the plan.
    pub async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        match &mut self.0 {
            FormatReader::Parquet(reader) => reader.next().await,
        }
    }
}
