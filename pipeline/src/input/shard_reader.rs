//! Reader for the rows of a shard, in the format of its file.

use super::{
    InputColumns, ReadError, Rows,
    links::{LinkedRows, ReadOut, RowStream},
    parquet::ParquetReader,
    sample_reader::SampleReader,
};
use arrow::datatypes::Field;
use capfilt_schemas::plan::{InputFormat, Shard};
use capfilt_store::Location;
use futures::{StreamExt as _, stream};

/// Reads one shard in order, up to `batch_rows` rows or 64 MiB at a time.
///
/// Memory: [`InputColumns::memory`] for the input that is being decoded, and the returned rows; with links,
/// also the rows ahead.
pub struct ShardReader {
    passthrough: Vec<Field>,
    rows: Reading,
}

enum Reading {
    Direct(FormatReader),
    Linked(LinkedRows),
}

/// Parquet has types and pages; one reader serves all other formats.
enum FormatReader {
    Parquet(Box<ParquetReader>),
    Samples(Box<SampleReader>),
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
        let (links, most) = (columns.links.clone(), columns.image_bytes);
        let reader = FormatReader::open(input, shard, columns, batch_rows).await?;
        let passthrough = reader.passthrough().to_vec();
        let rows = match links {
            None => Reading::Direct(reader),
            Some(links) => {
                Reading::Linked(LinkedRows::begin(reader.into_stream(), links, most, &shard.file.path))
            }
        };
        Ok(Self { passthrough, rows })
    }

    /// Pass-through columns with the types of the pairs table.
    pub fn passthrough(&self) -> &[Field] {
        &self.passthrough
    }

    /// The end of the reading ahead; `None` without links.
    pub fn read_out(&self) -> Option<ReadOut> {
        match &self.rows {
            Reading::Direct(_) => None,
            Reading::Linked(rows) => Some(rows.read_out()),
        }
    }

    /// Returns the next rows, or `None` after the last.
    ///
    /// # Errors
    /// The file cannot be read, or the shard has another number of rows than the plan; no link can be fetched
    /// any more.
    pub async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        match &mut self.rows {
            Reading::Direct(reader) => reader.next().await,
            Reading::Linked(rows) => rows.next().await,
        }
    }
}

impl FormatReader {
    async fn open(
        input: &Location,
        shard: &Shard,
        columns: InputColumns,
        batch_rows: usize,
    ) -> Result<Self, ReadError> {
        Ok(match InputFormat::of(&shard.file.path) {
            InputFormat::Parquet => {
                let reader = ParquetReader::open(input, shard, columns, batch_rows).await?;
                Self::Parquet(Box::new(reader))
            }
            _ => Self::Samples(Box::new(SampleReader::open(input, shard, columns, batch_rows))),
        })
    }

    fn passthrough(&self) -> &[Field] {
        match self {
            Self::Parquet(reader) => reader.passthrough(),
            Self::Samples(reader) => reader.passthrough(),
        }
    }

    async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        match self {
            Self::Parquet(reader) => reader.next().await,
            Self::Samples(reader) => reader.next().await,
        }
    }

    fn into_stream(self) -> RowStream {
        let next = |mut reader: Self| async move {
            let rows = reader.next().await.transpose()?;
            Some((rows, reader))
        };
        stream::unfold(self, next).boxed()
    }
}
