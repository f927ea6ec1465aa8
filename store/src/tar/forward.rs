//! Bytes of a tar in order: those of the object, or those that gzip decompresses to.

use crate::{StoreError, window::Window};
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use std::io::Write as _;

/// Compressed bytes that are decompressed at once. Memory: 1,032 times as much, deflate's largest ratio.
const COMPRESSED_BYTES: u64 = 8 << 10;

/// Bytes of a tar, forward only.
pub(super) enum Forward {
    Plain(Window),
    Gzip(Box<Gzip>),
}

/// A compressed tar.
pub(super) struct Gzip {
    compressed: Window,
    decoder: MultiGzDecoder<Vec<u8>>,
    ready: BytesMut,
    at: u64,
    /// Whether all compressed bytes are read.
    is_over: bool,
    /// Why decompression ended early.
    fault: Option<String>,
}

impl Forward {
    pub fn gzip(compressed: Window) -> Self {
        let decoder = MultiGzDecoder::new(Vec::new());
        let (ready, at, is_over, fault) = (BytesMut::new(), 0, false, None);
        Self::Gzip(Box::new(Gzip { compressed, decoder, ready, at, is_over, fault }))
    }

    /// Offset in the tar.
    pub fn at(&self) -> u64 {
        match self {
            Self::Plain(window) => window.at(),
            Self::Gzip(gzip) => gzip.at,
        }
    }

    /// Offset in the object.
    pub fn at_in_object(&self) -> u64 {
        match self {
            Self::Plain(window) => window.at(),
            Self::Gzip(gzip) => gzip.compressed.at(),
        }
    }

    /// Requests and bytes so far.
    pub fn cost(&self) -> (u64, u64) {
        match self {
            Self::Plain(window) => (window.requests, window.bytes_read),
            Self::Gzip(gzip) => (gzip.compressed.requests, gzip.compressed.bytes_read),
        }
    }

    /// Returns the next bytes, fewer only at the end.
    pub async fn take(&mut self, bytes: u64) -> Result<Bytes, StoreError> {
        match self {
            Self::Plain(window) => window.take(bytes).await,
            Self::Gzip(gzip) => gzip.take(bytes).await,
        }
    }

    /// Skips bytes; returns the number of bytes that there are.
    pub async fn skip(&mut self, bytes: u64) -> Result<u64, StoreError> {
        match self {
            Self::Plain(window) => Ok(window.skip(bytes)),
            Self::Gzip(gzip) => gzip.skip(bytes).await,
        }
    }

    /// Why the bytes ended, if not because the object ended.
    pub fn fault(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(gzip) => gzip.fault.as_deref(),
        }
    }
}

impl Gzip {
    async fn take(&mut self, bytes: u64) -> Result<Bytes, StoreError> {
        while (self.ready.len() as u64) < bytes && self.more().await? {}
        let taken = bytes.min(self.ready.len() as u64);
        self.at += taken;
        Ok(self.ready.split_to(taken as usize).freeze())
    }

    async fn skip(&mut self, bytes: u64) -> Result<u64, StoreError> {
        let mut left = bytes;
        loop {
            let part = left.min(self.ready.len() as u64);
            self.ready.advance(part as usize);
            left -= part;
            self.at += part;
            if left == 0 || !self.more().await? {
                return Ok(bytes - left);
            }
        }
    }

    /// Decompresses further bytes; `false` at the end.
    async fn more(&mut self) -> Result<bool, StoreError> {
        if self.is_over || self.fault.is_some() {
            return Ok(false);
        }
        let compressed = self.compressed.take(COMPRESSED_BYTES).await?;
        self.is_over = compressed.is_empty();
        let done = match self.is_over {
            true => self.decoder.try_finish(),
            false => self.decoder.write_all(&compressed),
        };
        self.ready.extend_from_slice(self.decoder.get_ref());
        self.decoder.get_mut().clear();
        if let Err(error) = done {
            self.fault = Some(format!("gzip: {error}"));
        }
        Ok(true)
    }
}
