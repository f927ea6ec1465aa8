//! An opened file of a shard: the columns to read, and the conversion of cells to samples.

mod prune;

use super::{
    columns,
    file::{self, File, PagesOf},
    notes::Notes,
    parts::{Part, Reads},
    piece::{Carried, Piece},
    restore::restore,
    row_group::{RowGroupStream, Wanted},
    sizing::rows_at_once,
    views,
};
use crate::input::{
    ColumnError, ImageInput, InputColumns, ReadError, Rows, Sample, SourceText, TextInput,
    control::ControlTexts,
    images::{self, TakesLinks, fetched_bytes},
    selection,
};
use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use capfilt_schemas::plan::Shard;
use capfilt_store::{Location, PinnedObject};
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ArrowReaderMetadata},
    errors::ParquetError,
};
use std::{collections::BTreeSet, sync::Arc};

/// State that is constant while a shard is read.
pub(super) struct Source {
    input: Location,
    object: PinnedObject,
    /// Row groups, and the columns with stored types and with views for bytes.
    metadata: ArrowReaderMetadata,
    /// The columns with schema types.
    schema: SchemaRef,
    columns: InputColumns,
    file: String,
    batch_rows: usize,
    pub(super) passthrough: Vec<Field>,
}

/// Rows of text that are read at once for the negative control.
const TEXT_ROWS: usize = 8192;

/// Bytes of a text that are copied and written, unless `limits.text_bytes` is larger. A longer text is not a
/// caption, and a page of one such text has up to 2 GiB.
const TEXT_BYTES: u64 = 1 << 20;

/// Largest number of bytes of the rows that are copied out of Parquet at once, unless a single row is larger.
pub(super) const CHUNK_BYTES: u64 = 64 << 20;

/// Memory of a row in addition to its values: its records here, in the ledger, and between the stages.
const ROW_BYTES: u64 = 1 << 10;

/// Memory of each text after the row's first: its records, and its cleaned copy.
const FURTHER_TEXT_BYTES: u64 = 512;

impl Source {
    /// Opens the shard's file; only its footer is read.
    pub(super) async fn open(
        input: &Location,
        shard: &Shard,
        columns: InputColumns,
        batch_rows: usize,
    ) -> Result<Self, ReadError> {
        let object = PinnedObject::new(input, &shard.file);
        let file = shard.file.path.clone();
        let wanted = columns.wanted();
        let pages = PagesOf { columns: &wanted, groups: shard.part.row_groups() };
        let opened = file::open(&object, columns.selection.is_some().then_some(pages)).await;
        let with_views = |File { schema, metadata }| Ok((schema, views::read_with(&metadata)?));
        let opened = opened.and_then(with_views);
        let (schema, metadata) =
            opened.map_err(|source| ReadError::Parquet { file: file.clone(), source })?;
        let (input, passthrough) = (input.around(&file), Vec::new());
        let mut source = Self { input, object, metadata, schema, columns, file, batch_rows, passthrough };
        source.passthrough = source.passthrough_fields()?;
        Ok(source)
    }

    /// Controls of a row group, read before its images. A text column is small.
    pub(super) async fn control_texts(&self, group: u32) -> Result<ControlTexts, ReadError> {
        let mut control = ControlTexts::new(self.columns.max_words, self.columns.seed);
        let names = self.columns.texts.iter().map(AsRef::as_ref);
        let wanted: BTreeSet<&str> =
            names.filter(|name| self.schema().field_with_name(name).is_ok()).collect();
        if wanted.is_empty() {
            return Ok(control);
        }
        let mut stream = self.stream(group, &Part::whole(Reads::Names), &wanted, TEXT_ROWS).await?;
        while let Some(batch) = stream.next().await.map_err(|source| self.parquet(source))? {
            for piece in self.piece(batch).cut(CHUNK_BYTES) {
                self.texts(&piece.batch)?.iter().for_each(|texts| control.add(texts));
            }
        }
        Ok(control)
    }

    /// Decoded rows, without values over a limit.
    pub(super) fn piece(&self, batch: RecordBatch) -> Piece {
        let InputColumns { image, image_bytes, texts, text_bytes, .. } = &self.columns;
        let text_bytes = TEXT_BYTES.max(text_bytes + 1);
        Piece::new(batch, &Carried { image, image_bytes: *image_bytes, texts, text_bytes })
    }

    /// Stream of the rows of a part, with the columns that the job needs.
    pub(super) async fn rows_of(&self, group: u32, part: &Part) -> Result<RowGroupStream, ReadError> {
        let wanted = match part.reads {
            Reads::Everything => self.columns.wanted(),
            Reads::Names => {
                let texts = self.columns.texts.iter().map(AsRef::as_ref);
                texts.chain([self.columns.key.as_str()]).collect()
            }
        };
        self.stream(group, part, &wanted, self.batch_rows).await
    }

    /// Converts Parquet rows to samples and reads named images. If these are large, the last rows stay for
    /// the next call.
    pub(super) async fn samples(
        &self,
        piece: &Piece,
        reads: Reads,
        first_row: u64,
        control: &ControlTexts,
    ) -> Result<Rows, ReadError> {
        let batch = &piece.batch;
        let mut notes = Notes::default();
        let keys = match columns::find(batch, &self.columns.key) {
            Some(array) => {
                let name = &self.columns.key;
                let keys = columns::names(name, array, self.promised(name)?)
                    .map_err(|source| self.column(source))?;
                notes.add(name, &keys.lost);
                keys.names
            }
            None => vec![None; batch.num_rows()],
        };
        let texts = self.texts(batch)?;
        let rows = batch.num_rows();
        let (selected, images, passthrough) = match reads {
            Reads::Names => (vec![false; rows], vec![ImageInput::Missing; rows], self.nothing_passes(rows)?),
            Reads::Everything => {
                let selected = self.selected(batch, &mut notes)?;
                let images = self.images(piece, &selected, &mut notes).await?;
                let read = batch.slice(0, images.len());
                let passthrough = self.restored(&read, self.columns.passthrough.iter(), &mut notes)?;
                (selected, images, passthrough)
            }
        };
        let sizes = images.iter().zip(&piece.bytes).zip(&texts);
        let bytes =
            sizes.map(|((image, row), texts)| row_bytes(*row, texts) + fetched_bytes(image)).collect();
        let samples = keys.into_iter().zip(images).zip(texts).zip(selected).enumerate();
        let samples = samples.map(|(at, (((key, image), texts), selected))| {
            let row = first_row + at as u64;
            let (control, note) = (control.choose(row, &texts), notes.of(at));
            let member = match &image {
                ImageInput::Link(link) => Some(link.shown()),
                _ => None,
            };
            Sample { row, key, member, image, texts, selected, control, note }
        });
        Ok(Rows { samples: samples.collect(), bytes, passthrough })
    }

    fn selected(&self, batch: &RecordBatch, notes: &mut Notes) -> Result<Vec<bool>, ReadError> {
        let Some(predicate) = &self.columns.selection else { return Ok(vec![true; batch.num_rows()]) };
        let looked_at = self.restored(batch, predicate.columns().into_iter(), notes)?;
        selection::selected(predicate, &looked_at).map_err(|source| self.column(source))
    }

    /// Columns of a batch with schema types; columns that the file lacks are left out.
    fn restored(
        &self,
        batch: &RecordBatch,
        names: impl Iterator<Item = impl AsRef<str>>,
        notes: &mut Notes,
    ) -> Result<RecordBatch, ReadError> {
        let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = Default::default();
        for name in names {
            let Ok(field) = self.schema.field_with_name(name.as_ref()) else { continue };
            let Some(stored) = columns::find(batch, name.as_ref()) else { continue };
            let restored = restore(stored, field.data_type()).map_err(|error| self.parquet(error.into()))?;
            notes.add(field.name(), &restored.lost);
            fields.push(field.clone().with_nullable(true));
            columns.push(restored.array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
        batch.map_err(|error| self.parquet(error.into()))
    }

    /// Pass-through columns of rows that are not selected.
    fn nothing_passes(&self, rows: usize) -> Result<RecordBatch, ReadError> {
        let columns = self.passthrough.iter().map(|field| new_null_array(field.data_type(), rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(
            Arc::new(Schema::new(self.passthrough.clone())),
            columns,
            &options,
        );
        batch.map_err(|error| self.parquet(error.into()))
    }

    fn promised(&self, name: &str) -> Result<&DataType, ReadError> {
        let field = self.schema.field_with_name(name).map_err(|_| self.column(missing(name)))?;
        Ok(field.data_type())
    }

    async fn images(
        &self,
        piece: &Piece,
        selected: &[bool],
        notes: &mut Notes,
    ) -> Result<Vec<ImageInput>, ReadError> {
        let name = &self.columns.image;
        let Some(array) = columns::find(&piece.batch, name) else { return Err(self.column(missing(name))) };
        let images =
            columns::images(name, array, self.promised(name)?).map_err(|source| self.column(source))?;
        let mut cells = images.cells;
        for cell in &mut cells {
            if let images::ImageCell::Path(path) = cell {
                *path = images::beside_metadata(&self.file, std::mem::take(path));
            }
        }
        // A row with an unreadable path has a status and needs no note.
        let noted =
            images.lost.into_iter().filter(|(row, _)| cells[*row] != images::ImageCell::NoPath).collect();
        notes.add(&format!("{name}.path"), &noted);
        // Images of unselected rows are not read.
        for ((cell, selected), too_large) in cells.iter_mut().zip(selected).zip(&piece.too_large) {
            match too_large {
                _ if !selected => *cell = images::ImageCell::Nothing,
                Some(bytes) => *cell = images::ImageCell::TooLarge(*bytes),
                None => {}
            }
        }
        let links = if self.columns.links.is_some() { TakesLinks::Yes } else { TakesLinks::No };
        let fetched = images::fetch(cells, &self.input, self.columns.image_bytes, links).await;
        let mut images = fetched.map_err(|error| self.parquet(ParquetError::External(Box::new(error))))?;
        self.add_digests(&piece.batch, &mut images)?;
        Ok(images)
    }

    /// Adds the digests of the rows to their links.
    fn add_digests(&self, batch: &RecordBatch, images: &mut [ImageInput]) -> Result<(), ReadError> {
        let Some(name) = self.columns.digest() else { return Ok(()) };
        let Some(array) = columns::find(batch, name) else { return Err(self.column(missing(name))) };
        let digests = columns::names(name, array, self.promised(name)?);
        let digests = digests.map_err(|source| self.column(source))?;
        for (image, digest) in images.iter_mut().zip(digests.names) {
            if let ImageInput::Link(link) = image {
                link.digest = digest;
            }
        }
        Ok(())
    }

    /// Texts of each row, in the order of the columns; a column that the file lacks has no text.
    fn texts(&self, batch: &RecordBatch) -> Result<Vec<Vec<SourceText>>, ReadError> {
        let mut rows = vec![Vec::new(); batch.num_rows()];
        for source in &self.columns.texts {
            let text = |text| SourceText { source: Arc::clone(source), text };
            let Some(array) = columns::find(batch, source) else {
                rows.iter_mut().for_each(|row| row.push(text(TextInput::Missing)));
                continue;
            };
            let texts = columns::texts(source, array, self.columns.most_texts);
            let texts = texts.map_err(|source| self.column(source))?;
            rows.iter_mut().zip(texts).for_each(|(row, texts)| row.extend(texts.into_iter().map(text)));
        }
        Ok(rows)
    }

    async fn stream(
        &self,
        group: u32,
        part: &Part,
        wanted: &BTreeSet<&str>,
        batch_rows: usize,
    ) -> Result<RowGroupStream, ReadError> {
        let row_group = self.row_group(group)?;
        let roots = self.schema().fields().iter().enumerate();
        let roots = roots.filter(|(_, field)| wanted.contains(field.name().as_str())).map(|(index, _)| index);
        let columns = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let rows_at_once = rows_at_once(row_group, &columns, batch_rows);
        let (rows, memory) = (part.rows.clone(), self.columns.memory);
        let wanted = Wanted { group: group as usize, columns, rows, rows_at_once, memory };
        let opened = RowGroupStream::open(&self.object, &self.metadata, wanted).await;
        opened.map_err(|source| self.parquet(source))
    }

    fn passthrough_fields(&self) -> Result<Vec<Field>, ReadError> {
        let field = |name: &String| match self.schema().field_with_name(name) {
            Ok(field) => Ok(field.clone().with_nullable(true)),
            Err(_) => Err(self.column(missing(name))),
        };
        self.columns.passthrough.iter().map(field).collect()
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn parquet(&self, source: ParquetError) -> ReadError {
        ReadError::Parquet { file: self.file.clone(), source }
    }

    fn column(&self, source: ColumnError) -> ReadError {
        ReadError::Column { file: self.file.clone(), source }
    }
}

/// Bytes of a row's values and records.
fn row_bytes(values: u64, texts: &[SourceText]) -> u64 {
    ROW_BYTES + values + texts.len().saturating_sub(1) as u64 * FURTHER_TEXT_BYTES
}

fn missing(column: &str) -> ColumnError {
    let problem = "is not there; set input.image and input.passthrough to columns that are";
    ColumnError { column: column.to_owned(), problem: problem.to_owned() }
}
