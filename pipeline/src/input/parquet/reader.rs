//! Reader for the rows of a shard of a Parquet file, in order and in small batches.

use super::{
    parts::{Part, Reads},
    piece::Piece,
    row_group::RowGroupStream,
    source::{CHUNK_BYTES, Source},
};
use crate::image::message_of;
use crate::input::{InputColumns, ReadError, Rows, control::ControlTexts};
use arrow::{compute::concat_batches, datatypes::Field, error::ArrowError};
use capfilt_schemas::plan::Shard;
use capfilt_store::Location;
use futures::FutureExt as _;
use std::{collections::VecDeque, ops::Range, panic::AssertUnwindSafe, sync::Arc};

/// Reads one shard, up to `batch_rows` rows or 64 MiB at a time.
///
/// Memory: [`InputColumns::memory`] for the current row group, and the returned rows.
pub(in crate::input) struct ParquetReader {
    source: Arc<Source>,
    shard: Shard,
    batch_rows: usize,
    next_row: u64,
    part: Option<OpenPart>,
    parts_left: VecDeque<(u32, Part)>,
    /// Controls of the current row group.
    control: Arc<ControlTexts>,
    groups_left: Range<u32>,
}

struct OpenPart {
    stream: RowGroupStream,
    reads: Reads,
    /// Decoded rows that are not yet copied.
    decoded: Option<Piece>,
}

impl ParquetReader {
    /// Opens the shard's file; only its footer is read.
    pub async fn open(
        input: &Location,
        shard: &Shard,
        columns: InputColumns,
        batch_rows: usize,
    ) -> Result<Self, ReadError> {
        let source = Arc::new(Source::open(input, shard, columns, batch_rows).await?);
        let (next_row, groups_left) = (shard.first_row, shard.part.row_groups());
        let (part, parts_left) = (None, VecDeque::new());
        let control = Arc::new(ControlTexts::none());
        let batch_rows = batch_rows.max(1);
        Ok(Self {
            source,
            shard: shard.clone(),
            batch_rows,
            next_row,
            part,
            parts_left,
            control,
            groups_left,
        })
    }

    /// Pass-through columns with the types of the pairs table.
    pub fn passthrough(&self) -> &[Field] {
        &self.source.passthrough
    }

    /// Returns the next rows, or `None` after the last. The number of all rows is compared with the plan.
    ///
    /// Some damaged pages make the Parquet reader panic. The panic is an error of the file: it fails the
    /// shard, and not the process, which has shards of other files.
    pub async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        let read = AssertUnwindSafe(self.read()).catch_unwind().await;
        read.unwrap_or_else(|panic| {
            let (file, message) = (self.shard.file.path.clone(), message_of(panic.as_ref()).to_owned());
            Err(ReadError::Panic { file, message })
        })
    }

    async fn read(&mut self) -> Result<Option<Rows>, ReadError> {
        let source = Arc::clone(&self.source);
        loop {
            let Some(part) = &mut self.part else {
                if !self.next_part(&source).await? {
                    return self.finish();
                }
                continue;
            };
            let rows = part.read(&source, self.next_row, self.batch_rows, &self.control).await?;
            match rows {
                None => self.part = None,
                Some(rows) => {
                    self.next_row += rows.samples.len() as u64;
                    return Ok(Some(rows));
                }
            }
        }
    }

    /// Opens the next part, of the next row group if this one has no more. Returns `false` at the end.
    async fn next_part(&mut self, source: &Source) -> Result<bool, ReadError> {
        while self.parts_left.is_empty() {
            let Some(group) = self.groups_left.next() else { return Ok(false) };
            let parts = source.parts(group).await?;
            let is_judged = parts.iter().any(|part| part.reads == Reads::Everything);
            let control = if is_judged { source.control_texts(group).await? } else { ControlTexts::none() };
            self.control = Arc::new(control);
            self.parts_left.extend(parts.into_iter().map(|part| (group, part)));
        }
        let Some((group, part)) = self.parts_left.pop_front() else { return Ok(false) };
        self.part =
            Some(OpenPart { stream: source.rows_of(group, &part).await?, reads: part.reads, decoded: None });
        Ok(true)
    }

    fn finish(&self) -> Result<Option<Rows>, ReadError> {
        let (planned, found) = (self.shard.rows, self.next_row - self.shard.first_row);
        if planned == found {
            Ok(None)
        } else {
            Err(ReadError::Rows { file: self.shard.file.path.clone(), planned, found })
        }
    }
}

impl OpenPart {
    /// The next rows, as many as fit; `None` at the end.
    async fn read(
        &mut self,
        source: &Source,
        first_row: u64,
        most: usize,
        control: &ControlTexts,
    ) -> Result<Option<Rows>, ReadError> {
        let mut gathered = Gathered::default();
        while gathered.rows() < most {
            let Some(piece) = self.decoded.as_mut().filter(|piece| piece.rows() > 0) else {
                // Frees the pages before the next ones are decoded.
                self.decoded = None;
                let Some(batch) = self.stream.next().await.map_err(|error| source.parquet(error))? else {
                    break;
                };
                self.decoded = Some(source.piece(batch));
                continue;
            };
            let room = piece.within(CHUNK_BYTES.saturating_sub(gathered.bytes())).min(most - gathered.rows());
            // A single row may exceed the limit.
            let wanted = room.max(usize::from(gathered.rows() == 0));
            if wanted == 0 {
                break;
            }
            let at = first_row + gathered.rows() as u64;
            let rows = source.samples(&piece.front(wanted), self.reads, at, control).await?;
            let read = rows.samples.len();
            piece.skip(read);
            gathered.pieces.push(rows);
            if read < wanted {
                break;
            }
        }
        gathered.join().map_err(|error| source.parquet(error.into()))
    }
}

/// Rows that are returned together.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Rows>,
}

impl Gathered {
    fn rows(&self) -> usize {
        self.pieces.iter().map(|rows| rows.samples.len()).sum()
    }

    fn bytes(&self) -> u64 {
        self.pieces.iter().flat_map(|rows| &rows.bytes).sum()
    }

    fn join(mut self) -> Result<Option<Rows>, ArrowError> {
        if self.pieces.len() < 2 {
            return Ok(self.pieces.pop());
        }
        let schema = self.pieces[0].passthrough.schema();
        let passthrough = concat_batches(&schema, self.pieces.iter().map(|rows| &rows.passthrough))?;
        let (samples, bytes): (Vec<_>, Vec<_>) =
            self.pieces.into_iter().map(|rows| (rows.samples, rows.bytes)).unzip();
        let samples = samples.into_iter().flatten().collect();
        Ok(Some(Rows { samples, bytes: bytes.concat(), passthrough }))
    }
}
