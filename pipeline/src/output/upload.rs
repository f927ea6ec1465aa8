//! A Parquet object on its way into the store: streamed, counted and hashed as it goes.

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use bytes::Bytes;
use capfilt_bucket::Bucket;
use capfilt_schemas::{commit::Output, names::Table};
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

/// A row group is closed at this size: readers hold whole row groups, and no array may pass 2 GB.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// A row group is closed at this many rows.
const ROW_GROUP_ROWS: usize = 10_000;

/// Part size of a multipart upload, and what one upload holds in memory. Smaller objects are one plain PUT.
const PART_BYTES: usize = 8 << 20;

/// An output that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {object}: {source}")]
pub struct WriteError {
    pub object: String,
    #[source]
    pub source: ParquetError,
}

/// One table being written.
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
        bucket: &Bucket,
        table: Table,
        path: String,
        schema: SchemaRef,
    ) -> std::result::Result<Self, WriteError> {
        let object = bucket.place.path_of(&path);
        let sink = BufWriter::with_capacity(Arc::clone(&bucket.place.store), object, PART_BYTES);
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

    /// Ends the object. It is there, whole, when this returns.
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
    // Encoded images neither compress nor repeat, and their first bytes tell nobody anything.
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
