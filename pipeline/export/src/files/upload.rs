//! Upload of a file: streamed, counted and hashed while it is written.

use crate::ExportError;
use capfilt_store::Location;
use object_store::buffered::BufWriter;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

/// Part size in bytes of a multipart upload, and memory of one upload. A smaller file is one plain PUT.
const PART_BYTES: usize = 8 << 20;

pub(super) struct Upload {
    path: String,
    sink: BufWriter,
    bytes: u64,
    hasher: Sha256,
}

impl Upload {
    pub fn new(bucket: &Location, path: &str) -> Self {
        let sink = BufWriter::with_capacity(Arc::clone(&bucket.store), bucket.path_of(path), PART_BYTES);
        Self { path: bucket.url_of(path), sink, bytes: 0, hasher: Sha256::new() }
    }

    pub async fn put(&mut self, bytes: Vec<u8>) -> Result<(), ExportError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.bytes += bytes.len() as u64;
        self.hasher.update(&bytes);
        self.sink.put(bytes.into()).await.map_err(ExportError::write(&self.path))
    }

    /// Finishes the file: when this returns, the whole file is stored. Returns its bytes and their SHA-256.
    pub async fn finish(mut self) -> Result<(u64, String), ExportError> {
        let ended = self.sink.shutdown().await;
        ended.map_err(|source| ExportError::Write { object: self.path.clone(), source: Box::new(source) })?;
        Ok((self.bytes, hex::encode(self.hasher.finalize())))
    }
}
