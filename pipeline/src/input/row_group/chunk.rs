//! A column's pages in one row group: fetched all at once or piece by piece, and counted before they are
//! decoded.

use super::memory::PageMemory;
use bytes::{Buf as _, Bytes, buf::Reader};
use capfilt_bucket::{PinnedObject, footer};
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

/// Bytes in which a page's header is looked for: it has some tens, or more with a writer's statistics.
const HEADER: u64 = 16 << 10;

/// A header of more is refused.
const LONGEST_HEADER: u64 = 16 << 20;

/// Some consecutive bytes of the object.
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

/// The first failure while pages were read: what the Parquet reader makes of an error is a text, which does
/// not tell whose fault it is.
pub(super) type FirstFailure = Arc<Mutex<Option<ParquetError>>>;

/// Where all columns of a row group are read from, and what they share.
#[derive(Debug)]
pub(super) struct Object {
    pub object: PinnedObject,
    pub runtime: Handle,
    /// Bytes of a column that are fetched at once, or more where a page has more.
    pub piece_bytes: u64,
    pub memory: Arc<PageMemory>,
    pub failure: FirstFailure,
}

impl Object {
    /// Keeps the error, and gives one that says the same.
    fn failed(&self, error: ParquetError) -> ParquetError {
        let text = error.to_string();
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        ParquetError::General(text)
    }

    /// Bytes of a column, counted; blocks.
    fn fetch(&self, column: usize, range: Range<u64>) -> Result<Bytes> {
        self.memory.fetch(column, range.end - range.start).map_err(|error| self.failed(error))?;
        let bytes = self.runtime.block_on(self.object.range(range));
        bytes.map_err(|error| self.failed(ParquetError::External(Box::new(error))))
    }
}

/// One column's pages. Reading them may block: not for a thread that other tasks wait for.
#[derive(Debug)]
pub(super) struct Chunk {
    pub object: Arc<Object>,
    /// Of all its bytes in the object.
    pub range: Range<u64>,
    /// What was fetched ahead.
    pub ahead: Vec<Piece>,
    /// What was fetched last of the rest.
    pub last: Mutex<Piece>,
    /// Its number in the count.
    pub column: usize,
    /// Whether pages are asked for whole, with their headers.
    pub by_page: bool,
}

impl Chunk {
    fn bytes(&self, start: u64, length: u64) -> Result<Bytes> {
        let range = start..start.saturating_add(length);
        if range.end > self.range.end {
            return Err(ParquetError::EOF("a page is said to go on after the end of its column".to_owned()));
        }
        if let Some(bytes) = self.ahead.iter().find_map(|piece| piece.within(&range)) {
            return Ok(bytes);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = last.within(&range) {
            return Ok(bytes);
        }
        let piece_end = self.range.end.min(start.saturating_add(self.object.piece_bytes));
        // What is not needed any more is let go before.
        *last = Piece::default();
        *last = Piece { start, bytes: self.object.fetch(self.column, start..range.end.max(piece_end))? };
        Ok(last.bytes.slice(..length as usize))
    }

    /// The bytes from the beginning of a page on, its header and more; the page is counted.
    fn header(&self, start: u64) -> Result<Bytes> {
        let left = self.range.end.saturating_sub(start);
        let bytes = self.bytes(start, left.min(HEADER))?;
        if footer::page_size(&bytes).is_ok() || left <= HEADER {
            return self.counted(bytes);
        }
        self.counted(self.bytes(start, left.min(LONGEST_HEADER))?)
    }

    /// The same bytes, when there is room for the page whose header they begin with.
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

/// A column's pages as the Parquet reader wants them.
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

/// A page's header; it is looked at when it is read, since the Parquet reader also asks for what it never
/// reads.
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
