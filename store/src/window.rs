//! Forward reading of an object in pieces, with one piece read ahead.

use crate::{PinnedObject, StoreError};
use bytes::{Bytes, BytesMut};
use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, path::PathBuf, sync::Arc};
use tokio::task::JoinHandle;

/// Bytes at an offset.
#[derive(Debug, Clone)]
pub(crate) enum Ranges {
    Object(PinnedObject),
    /// A local file, read without the store's cost per request: planning reads a header per member.
    File(Arc<(File, PathBuf)>),
}

impl Ranges {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        match self {
            Self::Object(object) => object.range(range).await,
            Self::File(file) => {
                let mut buffer = BytesMut::zeroed((range.end - range.start) as usize);
                let fail = |source| StoreError::Local { path: file.1.display().to_string(), source };
                file.0.read_exact_at(&mut buffer, range.start).map_err(fail)?;
                Ok(buffer.freeze())
            }
        }
    }
}

/// A window of an object that moves forward. Memory: two pieces, and the largest single request.
pub(crate) struct Window {
    ranges: Ranges,
    /// Offset of the next byte that is returned.
    at: u64,
    end: u64,
    piece_bytes: u64,
    piece: Bytes,
    /// The next piece, which is being read; only of objects.
    ahead: Option<Ahead>,
    /// Bytes and requests so far.
    pub bytes_read: u64,
    pub requests: u64,
}

/// A piece that is being read; dropping it ends the read.
struct Ahead {
    range: Range<u64>,
    task: JoinHandle<Result<Bytes, StoreError>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Window {
    pub fn new(ranges: Ranges, range: Range<u64>, piece_bytes: u64) -> Self {
        let (at, end) = (range.start, range.end);
        Self { ranges, at, end, piece_bytes, piece: Bytes::new(), ahead: None, bytes_read: 0, requests: 0 }
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    /// Skips bytes without reading them; returns the number of bytes that the object has.
    pub fn skip(&mut self, bytes: u64) -> u64 {
        let skipped = bytes.min(self.end - self.at);
        self.at += skipped;
        self.piece = match usize::try_from(skipped) {
            Ok(skipped) if skipped <= self.piece.len() => self.piece.slice(skipped..),
            _ => Bytes::new(),
        };
        skipped
    }

    /// Returns the next bytes, fewer only at the end of the object.
    pub async fn take(&mut self, bytes: u64) -> Result<Bytes, StoreError> {
        let wanted = bytes.min(self.end - self.at);
        if wanted <= self.piece.len() as u64 {
            return Ok(self.cut(wanted));
        }
        let mut taken = BytesMut::with_capacity(wanted as usize);
        while (taken.len() as u64) < wanted {
            let missing = wanted - taken.len() as u64;
            if self.piece.is_empty() {
                self.piece = self.next_piece(missing).await?;
            }
            let part = self.cut(missing.min(self.piece.len() as u64));
            taken.extend_from_slice(&part);
        }
        Ok(taken.freeze())
    }

    fn cut(&mut self, bytes: u64) -> Bytes {
        self.at += bytes;
        self.piece.split_to(bytes as usize)
    }

    /// Reads the piece at the current offset, at least `least` bytes, and starts reading the one behind it.
    async fn next_piece(&mut self, least: u64) -> Result<Bytes, StoreError> {
        let piece = match self.ahead.take() {
            Some(mut ahead) if ahead.range.contains(&self.at) => {
                let read = (&mut ahead.task).await;
                let piece = read.map_err(|error| StoreError::Refused(error.to_string()))??;
                piece.slice((self.at - ahead.range.start) as usize..)
            }
            _ => {
                let end = self.at.saturating_add(self.piece_bytes.max(least)).min(self.end);
                self.count(end - self.at);
                self.ranges.read(self.at..end).await?
            }
        };
        self.read_ahead(self.at + piece.len() as u64);
        Ok(piece)
    }

    fn read_ahead(&mut self, from: u64) {
        let range = from..from.saturating_add(self.piece_bytes).min(self.end);
        let Ranges::Object(object) = &self.ranges else { return };
        if range.is_empty() || self.piece_bytes < AHEAD_FROM {
            return;
        }
        let (object, wanted) = (object.clone(), range.clone());
        self.count(range.end - range.start);
        self.ahead = Some(Ahead { range, task: tokio::spawn(async move { object.range(wanted).await }) });
    }

    fn count(&mut self, bytes: u64) {
        self.bytes_read += bytes;
        self.requests += 1;
    }
}

/// Pieces from this size on are read ahead. A walk over headers has smaller ones, and skips what follows.
const AHEAD_FROM: u64 = 1 << 20;
