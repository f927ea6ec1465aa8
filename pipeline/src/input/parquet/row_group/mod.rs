//! Rows of one row group, decoded page by page, with a bound on the memory.
//!
//! A row group can have gigabytes, and so can a page of a file of some kilobytes. Bytes are counted before
//! they are fetched or decoded ([`memory::PageMemory`]); without room, the result is an error. A small row
//! group is fetched at once. The columns of a larger one are fetched in pieces while their pages are decoded.

mod chunk;
mod memory;
mod ranges;
mod wanted;

use arrow::array::RecordBatch;
use capfilt_store::PinnedObject;
use chunk::{Chunk, FirstFailure, Object, Pages, Piece};
use memory::PageMemory;
use parquet::{
    arrow::{
        arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowGroups, RowSelection},
        parquet_to_arrow_field_levels,
    },
    basic::Compression,
    column::page::{PageIterator, PageReader},
    errors::{ParquetError, Result},
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        page_index::offset_index::PageLocation,
        serialized_reader::SerializedPageReader,
    },
};
use ranges::{Located, located};
use std::{
    collections::BTreeMap,
    ops::Range,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::runtime::Handle;

pub(super) use wanted::Wanted;

/// Decodes batches of rows in order.
pub(super) struct RowGroupStream {
    /// `None` while another thread decodes a batch, and after a failure of that thread.
    reader: Option<ParquetRecordBatchReader>,
    memory: Arc<PageMemory>,
    failure: FirstFailure,
}

/// Divisor of the memory limit: the share for compressed bytes. A larger page takes memory of the other
/// parts.
const COMPRESSED_PART: u64 = 4;

/// Bytes of a column that are fetched at once in a large row group, if all columns have room for this number.
const PIECE_BYTES: u64 = 8 << 20;

/// Lower bound of the bytes that are fetched at once.
const LEAST_PIECE_BYTES: u64 = 64 << 10;

impl RowGroupStream {
    /// Opens a part of a row group. A small row group is fetched; of a large one nothing is fetched yet.
    ///
    /// # Errors
    /// A failure of the store is a [`ParquetError::External`] that contains a
    /// [`capfilt_store::StoreError`]. Any other error is a fault of the file.
    pub(super) async fn open(
        object: &PinnedObject,
        file: &ArrowReaderMetadata,
        wanted: Wanted,
    ) -> Result<Self> {
        let (metadata, hint) = (Arc::clone(file.metadata()), file.schema().fields());
        let levels =
            parquet_to_arrow_field_levels(file.parquet_schema(), wanted.columns.clone(), Some(hint))?;
        let columns = located(&metadata, &wanted, object.bytes)?;
        let group = metadata.row_group(wanted.group);
        let of_column = |located: &Located| {
            let column = group.column(located.leaf);
            (column.column_path().string(), column.compression() != Compression::UNCOMPRESSED)
        };
        let memory = Arc::new(PageMemory::new(wanted.memory, columns.iter().map(of_column)));
        let piece_bytes = wanted.memory / COMPRESSED_PART / columns.len().max(1) as u64;
        let object = Object {
            object: object.clone(),
            runtime: Handle::current(),
            piece_bytes: piece_bytes.clamp(LEAST_PIECE_BYTES, PIECE_BYTES),
            memory: Arc::clone(&memory),
            failure: FirstFailure::default(),
        };
        let ahead = fetched_ahead(&object, &columns, wanted.memory / COMPRESSED_PART).await?;
        let failure = Arc::clone(&object.failure);
        let group = Group::of(metadata, wanted.group, object, columns.into_iter().zip(ahead));
        let all_rows = group.num_rows();
        let rows =
            wanted.rows.map(|rows| RowSelection::from_consecutive_ranges([rows].into_iter(), all_rows));
        let reader =
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &group, wanted.rows_at_once, rows)?;
        Ok(Self { reader: Some(reader), memory, failure })
    }

    /// Returns the next rows, or `None` after the last. The caller must have dropped the previous batch.
    ///
    /// # Errors
    /// As [`Self::open`].
    ///
    /// # Panics
    /// The Parquet reader panics on some damaged pages.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(mut reader) = self.reader.take() else { return Ok(None) };
        self.memory.begin_batch();
        // Pages of a large row group are fetched while they are decoded, by a thread that may block.
        let decode = move || {
            let batch = reader.next();
            (reader, batch)
        };
        let decoded = tokio::task::spawn_blocking(decode).await;
        let (reader, batch) = decoded.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => resume_unwind(Box::new(error.to_string())),
        });
        self.reader = Some(reader);
        batch.transpose().map_err(|error| {
            let first = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            first.unwrap_or_else(|| error.into())
        })
    }
}

/// The requested bytes of the columns, or nothing when all together have more than `most` bytes.
async fn fetched_ahead(object: &Object, columns: &[Located], most: u64) -> Result<Vec<Vec<Piece>>> {
    let ranges = || columns.iter().flat_map(|column| &column.wanted);
    let bytes = |range: &Range<u64>| range.end - range.start;
    if ranges().map(bytes).fold(0, u64::saturating_add) > most {
        return Ok(vec![Vec::new(); columns.len()]);
    }
    for (number, column) in columns.iter().enumerate() {
        object.memory.fetch(number, column.wanted.iter().map(bytes).sum())?;
    }
    let ranges: Vec<Range<u64>> = ranges().cloned().collect();
    let fetched =
        object.object.ranges(&ranges).await.map_err(|error| ParquetError::External(Box::new(error)))?;
    let mut pieces =
        ranges.into_iter().zip(fetched).map(|(range, bytes)| Piece { start: range.start, bytes });
    Ok(columns.iter().map(|column| pieces.by_ref().take(column.wanted.len()).collect()).collect())
}

/// The row group, for the Parquet reader.
struct Group {
    metadata: Arc<ParquetMetaData>,
    number: usize,
    chunks: BTreeMap<usize, (Arc<Chunk>, Option<Vec<PageLocation>>)>,
}

impl Group {
    fn of(
        metadata: Arc<ParquetMetaData>,
        number: usize,
        object: Object,
        columns: impl Iterator<Item = (Located, Vec<Piece>)>,
    ) -> Self {
        let object = Arc::new(object);
        let chunk = |(column, (located, ahead)): (usize, (Located, Vec<Piece>))| {
            let (object, by_page) = (Arc::clone(&object), located.pages.is_some());
            let chunk =
                Chunk { object, range: located.range, ahead, last: Mutex::default(), column, by_page };
            (located.leaf, (Arc::new(chunk), located.pages))
        };
        let chunks = columns.enumerate().map(chunk).collect();
        Self { metadata, number, chunks }
    }
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.number).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let missing = || ParquetError::General(format!("column {leaf} was not asked for"));
        let (chunk, pages) = self.chunks.get(&leaf).ok_or_else(missing)?;
        let column = self.metadata.row_group(self.number).column(leaf);
        let chunk = Arc::new(Pages(Arc::clone(chunk)));
        let pages = SerializedPageReader::new(chunk, column, self.num_rows(), pages.clone())?;
        Ok(Box::new(OneChunk(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.number)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// A column's pages in its only row group.
struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}
