//! Upload of a Parquet object: streamed, counted and hashed while it is written.

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use bytes::Bytes;
use capfilt_schemas::{commit::Output, object_keys::Table};
use capfilt_store::Location;
use futures::{FutureExt as _, future::BoxFuture};
use object_store::buffered::BufWriter;
use parquet::{
    arrow::{AsyncArrowWriter, async_writer::AsyncFileWriter},
    basic::{Compression, ZstdLevel},
    errors::{ParquetError, Result},
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;

/// Size in bytes at which a row group is closed: readers hold whole row groups, and an array must not exceed
/// 2 GB.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Number of rows at which a row group is closed.
const ROW_GROUP_ROWS: usize = 10_000;

/// Part size in bytes of a multipart upload, and memory of one upload. A smaller object is one plain PUT.
const PART_BYTES: usize = 8 << 20;

/// Error of writing an output.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {object}: {source}")]
pub struct WriteError {
    /// Path below the job's URL.
    pub object: String,
    /// Error of the Parquet writer; it contains the store's.
    #[source]
    pub source: ParquetError,
}

/// One table that is being written.
pub(super) struct Upload {
    table: Table,
    path: String,
    rows: u64,
    digest: Arc<Mutex<Digest>>,
    writer: AsyncArrowWriter<HashingWriter>,
}

#[derive(Default)]
struct Digest {
    bytes: u64,
    hasher: Sha256,
}

impl Upload {
    pub(super) fn create(
        bucket: &Location,
        table: Table,
        path: String,
        schema: SchemaRef,
    ) -> std::result::Result<Self, WriteError> {
        let object = bucket.path_of(&path);
        let sink = BufWriter::with_capacity(Arc::clone(&bucket.store), object, PART_BYTES);
        let digest = Arc::new(Mutex::new(Digest::default()));
        let sink = HashingWriter { sink, digest: Arc::clone(&digest) };
        let writer = AsyncArrowWriter::try_new(sink, schema, Some(properties()));
        let writer = writer.map_err(|source| WriteError { object: path.clone(), source })?;
        Ok(Self { table, path, rows: 0, digest, writer })
    }

    pub(super) async fn write(
        &mut self,
        batch: std::result::Result<RecordBatch, ArrowError>,
    ) -> std::result::Result<(), WriteError> {
        let written = async {
            let batch = batch?;
            self.rows += batch.num_rows() as u64;
            self.writer.write(&batch).await
        };
        let written = written.await;
        written.map_err(|source| WriteError { object: self.path.clone(), source })
    }

    /// Finishes the object. When this returns, the whole object is stored.
    pub(super) async fn finish(self) -> std::result::Result<Output, WriteError> {
        let Self { table, path, rows, digest, writer } = self;
        let closed = writer.close().await;
        closed.map_err(|source| WriteError { object: path.clone(), source })?;
        let digest = std::mem::take(&mut *digest.lock().expect("nothing panics while it hashes"));
        Ok(Output { table, path, bytes: digest.bytes, sha256: hex::encode(digest.hasher.finalize()), rows })
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

struct HashingWriter {
    sink: BufWriter,
    digest: Arc<Mutex<Digest>>,
}

impl AsyncFileWriter for HashingWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            {
                let mut digest = self.digest.lock().expect("nothing panics while it hashes");
                digest.bytes += bytes.len() as u64;
                digest.hasher.update(&bytes);
            }
            self.sink.put(bytes).await.map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<()>> {
        async move { self.sink.shutdown().await.map_err(|error| ParquetError::External(Box::new(error))) }
            .boxed()
    }
}
