//! Sink of an object: bytes are counted and hashed while they are streamed into the store.

use bytes::Bytes;
use capfilt_schemas::{commit::Output, object_keys::Table};
use capfilt_store::Location;
use futures::{FutureExt as _, future::BoxFuture};
use object_store::buffered::BufWriter;
use parquet::{
    arrow::async_writer::AsyncFileWriter,
    errors::{ParquetError, Result},
};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;

/// Part size in bytes of a multipart upload, and memory of one upload. A smaller object is one plain PUT.
const PART_BYTES: usize = 8 << 20;

/// Error of writing an output.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {object}: {source}")]
pub struct WriteError {
    /// Path below the job's URL.
    pub object: String,
    /// Error of the Parquet writer; it contains the store's, also for a tar.
    #[source]
    pub source: ParquetError,
}

/// An object that is being written.
pub(super) struct HashingWriter {
    sink: BufWriter,
    written: Written,
}

/// Bytes of an object so far; the writer keeps counting after it was given away.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Digest>>);

#[derive(Default)]
struct Digest {
    bytes: u64,
    hasher: Sha256,
}

impl HashingWriter {
    pub fn create(bucket: &Location, path: &str) -> Self {
        let object = bucket.path_of(path);
        let sink = BufWriter::with_capacity(Arc::clone(&bucket.store), object, PART_BYTES);
        Self { sink, written: Written::default() }
    }

    pub fn written(&self) -> Written {
        self.written.clone()
    }
}

impl Written {
    /// The finished object, as a commit records it.
    pub fn output(&self, table: Table, path: String, rows: u64) -> Output {
        let digest = std::mem::take(&mut *self.0.lock().expect("nothing panics while it hashes"));
        Output { table, path, bytes: digest.bytes, sha256: hex::encode(digest.hasher.finalize()), rows }
    }
}

impl AsyncFileWriter for HashingWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            {
                let mut digest = self.written.0.lock().expect("nothing panics while it hashes");
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
