//! A column's pages in one row group: fetched at once or in pieces, and counted before they are decoded.

use super::memory::PageMemory;
use bytes::{Buf as _, Bytes, buf::Reader};
use capfilt_store::{PinnedObject, footer};
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};
use std::{
    io::{self, Read},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::runtime::Handle;

/// Bytes that are read for a page's header; it has some tens of bytes, or more with statistics.
const HEADER: u64 = 16 << 10;

/// Largest header in bytes; a longer one is an error.
const LONGEST_HEADER: u64 = 16 << 20;

/// Consecutive bytes of the object.
#[derive(Debug, Default, Clone)]
pub(super) struct Piece {
    pub start: u64,
    pub bytes: Bytes,
}

impl Piece {
    fn within(&self, range: &Range<u64>) -> Option<Bytes> {
        let (from, to) = (range.start.checked_sub(self.start)?, range.end.checked_sub(self.start)?);
        (to <= self.bytes.len() as u64).then(|| self.bytes.slice(from as usize..to as usize))
    }
}

/// The first failure of reading pages. The Parquet reader converts errors to text, which does not tell a
/// store's error from a damaged file.
pub(super) type FirstFailure = Arc<Mutex<Option<ParquetError>>>;

/// Source of all columns of a row group, with their shared state.
#[derive(Debug)]
pub(super) struct Object {
    pub object: PinnedObject,
    pub runtime: Handle,
    /// Bytes of a column that are fetched at once; more if a page is larger.
    pub piece_bytes: u64,
    pub memory: Arc<PageMemory>,
    pub failure: FirstFailure,
}

impl Object {
    /// Keeps the error, and returns one with the same text.
    fn failed(&self, error: ParquetError) -> ParquetError {
        let text = error.to_string();
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        ParquetError::General(text)
    }

    /// Fetches and counts bytes of a column; blocks.
    fn fetch(&self, column: usize, range: Range<u64>) -> Result<Bytes> {
        self.memory.fetch(column, range.end - range.start).map_err(|error| self.failed(error))?;
        let bytes = self.runtime.block_on(self.object.range(range));
        bytes.map_err(|error| self.failed(ParquetError::External(Box::new(error))))
    }
}

/// Pages of one column. Reading them may block: do not call from an async task.
#[derive(Debug)]
pub(super) struct Chunk {
    pub object: Arc<Object>,
    /// Byte range of the column in the object.
    pub range: Range<u64>,
    /// Bytes that were fetched in advance.
    pub ahead: Vec<Piece>,
    /// The piece that was fetched last.
    pub last: Mutex<Piece>,
    /// Index of the column in the count.
    pub column: usize,
    /// Whether the Parquet reader reads whole pages with their headers.
    pub by_page: bool,
}

impl Chunk {
    fn bytes(&self, start: u64, length: u64) -> Result<Bytes> {
        let range = start..start.saturating_add(length);
        if range.end > self.range.end {
            return Err(ParquetError::EOF("a page ends after the end of its column".to_owned()));
        }
        if let Some(bytes) = self.ahead.iter().find_map(|piece| piece.within(&range)) {
            return Ok(bytes);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = last.within(&range) {
            return Ok(bytes);
        }
        let piece_end = self.range.end.min(start.saturating_add(self.object.piece_bytes));
        // Frees the previous piece before the next one is fetched.
        *last = Piece::default();
        *last = Piece { start, bytes: self.object.fetch(self.column, start..range.end.max(piece_end))? };
        Ok(last.bytes.slice(..length as usize))
    }

    /// Returns the bytes from the start of a page, its header and more, and counts the page.
    fn header(&self, start: u64) -> Result<Bytes> {
        let left = self.range.end.saturating_sub(start);
        let bytes = self.bytes(start, left.min(HEADER))?;
        if footer::page_size(&bytes).is_ok() || left <= HEADER {
            return self.counted(bytes);
        }
        self.counted(self.bytes(start, left.min(LONGEST_HEADER))?)
    }

    /// Returns the same bytes, if there is room for the page whose header is at their start.
    fn counted(&self, bytes: Bytes) -> Result<Bytes> {
        let page = footer::page_size(&bytes).map_err(|error| self.object.failed(error))?;
        let counted = match page.is_dictionary {
            true => self.object.memory.dictionary(self.column, page.decompressed),
            false => self.object.memory.page(self.column, page.decompressed),
        };
        counted.map_err(|error| self.object.failed(error))?;
        Ok(bytes)
    }
}

/// A column's pages, for the Parquet reader.
pub(super) struct Pages(pub Arc<Chunk>);

impl Length for Pages {
    fn len(&self) -> u64 {
        self.0.range.end
    }
}

impl ChunkReader for Pages {
    type T = Header;

    fn get_read(&self, start: u64) -> Result<Header> {
        Ok(Header::At(Arc::clone(&self.0), start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.0.bytes(start, length as u64)?;
        if self.0.by_page { self.0.counted(bytes) } else { Ok(bytes) }
    }
}

/// A page's header. It is checked when it is read, because the Parquet reader also requests headers that it
/// does not read.
pub(super) enum Header {
    At(Arc<Chunk>, u64),
    Read(Reader<Bytes>),
}

impl Read for Header {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Self::At(chunk, start) => {
                    let bytes = chunk.header(*start).map_err(io::Error::other)?;
                    *self = Self::Read(bytes.reader());
                }
                Self::Read(bytes) => return bytes.read(into),
            }
        }
    }
}
