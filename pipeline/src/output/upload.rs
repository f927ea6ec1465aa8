//! Upload of a Parquet object: streamed, counted and hashed while it is written.

use super::hashing_writer::{HashingWriter, WriteError, Written};
use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use capfilt_schemas::{commit::Output, object_keys::Table};
use capfilt_store::Location;
use parquet::{
    arrow::AsyncArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};

/// Size in bytes at which a row group is closed: readers hold whole row groups, and an array must not exceed
/// 2 GB.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Number of rows at which a row group is closed.
const ROW_GROUP_ROWS: usize = 10_000;

/// One table that is being written.
pub(super) struct Upload {
    table: Table,
    path: String,
    rows: u64,
    written: Written,
    writer: AsyncArrowWriter<HashingWriter>,
}

impl Upload {
    pub fn create(
        bucket: &Location,
        table: Table,
        path: String,
        schema: SchemaRef,
    ) -> Result<Self, WriteError> {
        let sink = HashingWriter::create(bucket, &path);
        let written = sink.written();
        let writer = AsyncArrowWriter::try_new(sink, schema, Some(properties()));
        let writer = writer.map_err(|source| WriteError { object: path.clone(), source })?;
        Ok(Self { table, path, rows: 0, written, writer })
    }

    pub async fn write(&mut self, batch: Result<RecordBatch, ArrowError>) -> Result<(), WriteError> {
        let written = async {
            let batch = batch?;
            self.rows += batch.num_rows() as u64;
            self.writer.write(&batch).await
        };
        let written = written.await;
        written.map_err(|source| WriteError { object: self.path.clone(), source })
    }

    /// Finishes the object. When this returns, the whole object is stored.
    pub async fn finish(self) -> Result<Output, WriteError> {
        let Self { table, path, rows, written, writer } = self;
        let closed = writer.close().await;
        closed.map_err(|source| WriteError { object: path.clone(), source })?;
        Ok(written.output(table, path, rows))
    }
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("capfilt ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    // Encoded images do not compress or repeat, and statistics of their first bytes are useless.
    for column in ["image", "image.bytes"] {
        let path = ColumnPath::from(column.split('.').map(str::to_owned).collect::<Vec<_>>());
        properties = properties
            .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, parquet::file::properties::EnabledStatistics::None);
    }
    properties.build()
}
