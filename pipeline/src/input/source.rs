//! A shard's file, opened: which columns are read, and how cells become samples.

use super::reader::{InputColumns, ReadError, Rows};
use super::{ColumnError, ImageInput, Sample, TextInput, columns, control::ControlTexts, images, selection};
use arrow::{
    array::RecordBatch,
    datatypes::{Field, SchemaRef},
};
use capfilt_bucket::{PinnedObject, Place};
use capfilt_schemas::{plan::Shard, predicate::Predicate};
use futures::TryStreamExt as _;
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::ParquetRecordBatchStream,
    },
    errors::ParquetError,
};
use std::collections::BTreeSet;

/// What stays the same while a shard is read.
pub(super) struct Source {
    input: Place,
    object: PinnedObject,
    metadata: ArrowReaderMetadata,
    columns: InputColumns,
    file: String,
    batch_rows: usize,
    pub(super) passthrough: Vec<Field>,
}

/// Rows of text read at once for the negative control.
const TEXT_ROWS: usize = 8192;

impl Source {
    /// Opens the shard's file; only its footer is read.
    pub(super) async fn open(
        input: &Place,
        shard: &Shard,
        columns: InputColumns,
        batch_rows: usize,
    ) -> Result<Self, ReadError> {
        let object = PinnedObject::new(input, &shard.file);
        // Types come from Parquet alone: what a writer's Arrow library made of them (dictionaries, views) is its own business.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let load = ArrowReaderMetadata::load_async(&mut object.clone(), options).await;
        let file = shard.file.path.clone();
        let metadata = load.map_err(|source| ReadError::Parquet { file: file.clone(), source })?;
        let mut source =
            Self { input: input.clone(), object, metadata, columns, file, batch_rows, passthrough: Vec::new() };
        source.passthrough = source.passthrough_fields()?;
        Ok(source)
    }

    /// The texts of a row group that are a control for each other, read ahead of its images: a column of text is small.
    pub(super) async fn control_texts(&self, group: u32) -> Result<ControlTexts, ReadError> {
        let mut texts = Vec::new();
        if self.schema().field_with_name(&self.columns.text).is_ok() {
            let wanted = BTreeSet::from([self.columns.text.as_str()]);
            let mut stream = self.stream(group, &wanted, TEXT_ROWS)?;
            while let Some(batch) = stream.try_next().await.map_err(|source| self.parquet(source))? {
                texts.extend(self.texts(&batch)?.into_iter().filter_map(TextInput::into_text));
            }
        }
        Ok(ControlTexts::new(texts.iter().map(String::as_str), self.columns.max_words, self.columns.seed))
    }

    /// All columns of a row group that the job needs.
    pub(super) fn rows_of(&self, group: u32) -> Result<ParquetRecordBatchStream<PinnedObject>, ReadError> {
        let columns = &self.columns;
        let mut wanted = BTreeSet::from([columns.key.as_str(), columns.image.as_str(), columns.text.as_str()]);
        wanted.extend(columns.selection.iter().flat_map(Predicate::columns));
        wanted.extend(columns.passthrough.iter().map(String::as_str));
        self.stream(group, &wanted, self.batch_rows)
    }

    /// A batch of Parquet rows as samples; images that are only named are fetched.
    pub(super) async fn samples(
        &self,
        batch: RecordBatch,
        first_row: u64,
        control: &ControlTexts,
    ) -> Result<Rows, ReadError> {
        let keys = match columns::find(&batch, &self.columns.key) {
            Some(array) => columns::keys(&self.columns.key, array).map_err(|source| self.column(source))?,
            None => vec![None; batch.num_rows()],
        };
        let texts = self.texts(&batch)?;
        let selected = match &self.columns.selection {
            Some(predicate) => selection::selected(predicate, &batch).map_err(|source| self.column(source))?,
            None => vec![true; batch.num_rows()],
        };
        let images = self.images(&batch, &selected).await?;
        let samples = keys.into_iter().zip(images).zip(texts).zip(selected).zip(first_row..);
        let samples = samples.map(|((((key, image), text), selected), row)| {
            let control = control.choose(row, text.as_text());
            Sample { row, key, image, text, selected, control }
        });
        let samples = samples.collect();
        let names = self.passthrough.iter().map(|field| batch.schema().index_of(field.name()));
        let passthrough = names.collect::<Result<Vec<_>, _>>().and_then(|columns| batch.project(&columns));
        Ok(Rows { samples, passthrough: passthrough.map_err(|error| self.parquet(error.into()))? })
    }

    async fn images(&self, batch: &RecordBatch, selected: &[bool]) -> Result<Vec<ImageInput>, ReadError> {
        let Some(array) = columns::find(batch, &self.columns.image) else {
            return Err(self.column(missing(&self.columns.image)));
        };
        let mut cells = columns::images(&self.columns.image, array).map_err(|source| self.column(source))?;
        // What is not selected is not fetched.
        for (cell, selected) in cells.iter_mut().zip(selected) {
            if !selected {
                *cell = columns::ImageCell::Nothing;
            }
        }
        let fetched = images::fetch(cells, &self.input, self.columns.image_bytes).await;
        fetched.map_err(|error| self.parquet(ParquetError::External(Box::new(error))))
    }

    fn texts(&self, batch: &RecordBatch) -> Result<Vec<TextInput>, ReadError> {
        match columns::find(batch, &self.columns.text) {
            Some(array) => columns::texts(&self.columns.text, array).map_err(|source| self.column(source)),
            None => Ok(vec![TextInput::Missing; batch.num_rows()]),
        }
    }

    fn stream(
        &self,
        group: u32,
        wanted: &BTreeSet<&str>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchStream<PinnedObject>, ReadError> {
        let file = self.object.clone();
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file, self.metadata.clone());
        let roots = self.schema().fields().iter().enumerate();
        let roots = roots.filter(|(_, field)| wanted.contains(field.name().as_str())).map(|(index, _)| index);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let builder = builder.with_projection(mask).with_row_groups(vec![group as usize]).with_batch_size(batch_rows);
        builder.build().map_err(|source| self.parquet(source))
    }

    fn passthrough_fields(&self) -> Result<Vec<Field>, ReadError> {
        let field = |name: &String| match self.schema().field_with_name(name) {
            Ok(field) => Ok(field.clone().with_nullable(true)),
            Err(_) => Err(self.column(missing(name))),
        };
        self.columns.passthrough.iter().map(field).collect()
    }

    fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(super) fn parquet(&self, source: ParquetError) -> ReadError {
        ReadError::Parquet { file: self.file.clone(), source }
    }

    fn column(&self, source: ColumnError) -> ReadError {
        ReadError::Column { file: self.file.clone(), source }
    }
}

fn missing(column: &str) -> ColumnError {
    let problem = "is not there; set input.image and input.passthrough to columns that are";
    ColumnError { column: column.to_owned(), problem: problem.to_owned() }
}
