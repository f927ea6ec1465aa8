//! The rows of a shard, in order, a few at a time.

use super::{ColumnError, ImageInput, Sample, TextInput, columns, control::ControlTexts, images, parquet::PinnedParquet, selection};
use ::parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::ParquetRecordBatchStream,
    },
    errors::ParquetError,
};
use arrow::{
    array::RecordBatch,
    datatypes::{Field, SchemaRef},
};
use capfilt_bucket::{BucketError, PinnedObject, Place};
use capfilt_schemas::{plan::Shard, predicate::Predicate};
use futures::TryStreamExt as _;
use std::{collections::BTreeSet, ops::Range};

/// What of the input a job reads.
#[derive(Debug, Clone)]
pub struct InputColumns {
    pub key: String,
    pub image: String,
    pub text: String,
    pub selection: Option<Predicate>,
    pub passthrough: Vec<String>,
    /// Words the filter sees of a text; the negative control's too.
    pub max_words: usize,
    /// Largest object fetched for an image that is only named.
    pub image_bytes: u64,
    /// Seed of the negative control.
    pub seed: u64,
}

/// Why a shard cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{file}: {source}")]
    Parquet {
        file: String,
        #[source]
        source: ParquetError,
    },
    #[error("{file}: {source}")]
    Column {
        file: String,
        #[source]
        source: ColumnError,
    },
    #[error("{file}: the shard has {found} rows, planned were {planned}")]
    Rows { file: String, planned: u64, found: u64 },
}

impl ReadError {
    /// The store's answer behind the error, when it was the store.
    pub fn bucket(&self) -> Option<&BucketError> {
        match self {
            Self::Parquet { source: ParquetError::External(source), .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

/// Some consecutive rows and, row for row, their pass-through columns.
#[derive(Debug)]
pub struct Rows {
    pub samples: Vec<Sample>,
    pub passthrough: RecordBatch,
}

/// Reads one shard. Memory: the compressed columns of one row group, plus one batch of rows.
pub struct ShardReader {
    input: Place,
    object: PinnedObject,
    metadata: ArrowReaderMetadata,
    columns: InputColumns,
    shard: Shard,
    batch_rows: usize,
    passthrough: Vec<Field>,
    next_row: u64,
    group: Option<RowGroup>,
    groups_left: Range<u32>,
}

struct RowGroup {
    stream: ParquetRecordBatchStream<PinnedParquet>,
    control: ControlTexts,
}

impl ShardReader {
    /// Opens the shard's file; only its footer is read.
    pub async fn open(input: &Place, shard: &Shard, columns: InputColumns, batch_rows: usize) -> Result<Self, ReadError> {
        let object = PinnedObject::new(input, &shard.file);
        // Types come from Parquet alone: what a writer's Arrow library made of them (dictionaries, views) is its own business.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let load = ArrowReaderMetadata::load_async(&mut PinnedParquet(object.clone()), options).await;
        let metadata = load.map_err(|source| ReadError::Parquet { file: shard.file.path.clone(), source })?;
        let mut reader = Self {
            input: input.clone(),
            object,
            metadata,
            columns,
            shard: shard.clone(),
            batch_rows,
            passthrough: Vec::new(),
            next_row: shard.first_row,
            group: None,
            groups_left: shard.row_groups.clone(),
        };
        reader.passthrough = reader.passthrough_fields()?;
        Ok(reader)
    }

    /// The pass-through columns, as the pairs table will have them.
    pub fn passthrough(&self) -> &[Field] {
        &self.passthrough
    }

    /// The next rows, or `None` after the last; the count of all rows is held against the plan.
    pub async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        loop {
            if self.group.is_none() && !self.open_next_group().await? {
                return self.finish();
            }
            let Some(group) = &mut self.group else { continue };
            match group.stream.try_next().await {
                Ok(Some(batch)) => return self.rows(batch).await.map(Some),
                Ok(None) => self.group = None,
                Err(source) => return Err(self.parquet(source)),
            }
        }
    }

    fn finish(&self) -> Result<Option<Rows>, ReadError> {
        let (planned, found) = (self.shard.rows, self.next_row - self.shard.first_row);
        if planned == found { Ok(None) } else { Err(ReadError::Rows { file: self.shard.file.path.clone(), planned, found }) }
    }

    async fn open_next_group(&mut self) -> Result<bool, ReadError> {
        let Some(group) = self.groups_left.next() else { return Ok(false) };
        let control = self.control_texts(group).await?;
        let wanted = self.wanted_columns();
        let stream = self.stream(group, &wanted, self.batch_rows)?;
        self.group = Some(RowGroup { stream, control });
        Ok(true)
    }

    /// The row group's texts, read ahead of its images: a column of text is small.
    async fn control_texts(&self, group: u32) -> Result<ControlTexts, ReadError> {
        let mut texts = Vec::new();
        if self.schema().field_with_name(&self.columns.text).is_ok() {
            let wanted = BTreeSet::from([self.columns.text.as_str()]);
            let mut stream = self.stream(group, &wanted, 8192)?;
            while let Some(batch) = stream.try_next().await.map_err(|source| self.parquet(source))? {
                texts.extend(self.texts(&batch)?);
            }
        }
        let text = |input: &TextInput| match input {
            TextInput::Text(text) => Some(text.clone()),
            _ => None,
        };
        let texts: Vec<Option<String>> = texts.iter().map(text).collect();
        Ok(ControlTexts::new(texts.iter().map(Option::as_deref), self.columns.max_words, self.columns.seed))
    }

    fn stream(
        &self,
        group: u32,
        wanted: &BTreeSet<&str>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchStream<PinnedParquet>, ReadError> {
        let file = PinnedParquet(self.object.clone());
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file, self.metadata.clone());
        let roots = self.schema().fields().iter().enumerate();
        let roots = roots.filter(|(_, field)| wanted.contains(field.name().as_str())).map(|(index, _)| index);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let builder = builder.with_projection(mask).with_row_groups(vec![group as usize]).with_batch_size(batch_rows);
        builder.build().map_err(|source| self.parquet(source))
    }

    fn wanted_columns(&self) -> BTreeSet<&str> {
        let columns = &self.columns;
        let mut wanted = BTreeSet::from([columns.key.as_str(), columns.image.as_str(), columns.text.as_str()]);
        wanted.extend(columns.selection.iter().flat_map(Predicate::columns));
        wanted.extend(columns.passthrough.iter().map(String::as_str));
        wanted
    }

    async fn rows(&mut self, batch: RecordBatch) -> Result<Rows, ReadError> {
        let rows = batch.num_rows();
        let keys = match columns::find(&batch, &self.columns.key) {
            Some(array) => columns::keys(&self.columns.key, array).map_err(|source| self.column(source))?,
            None => vec![None; rows],
        };
        let texts = self.texts(&batch)?;
        let selected = match &self.columns.selection {
            Some(predicate) => selection::selected(predicate, &batch).map_err(|source| self.column(source))?,
            None => vec![true; rows],
        };
        let images = self.images(&batch, &selected).await?;
        let first_row = self.next_row;
        self.next_row += rows as u64;
        let control = self.group.as_ref().map(|group| &group.control);
        let samples = keys.into_iter().zip(images).zip(texts).zip(selected).zip(first_row..);
        let samples = samples.map(|((((key, image), text), selected), row)| {
            let own = match &text {
                TextInput::Text(text) => Some(crate::text::pre_caption(text, self.columns.max_words)),
                _ => None,
            };
            let control = control.and_then(|texts| texts.choose(row, own.as_deref()));
            Sample { row, key, image, text, selected, control }
        });
        let samples = samples.collect();
        let passthrough: Vec<usize> =
            self.passthrough.iter().map(|field| batch.schema().index_of(field.name())).collect::<Result<_, _>>().map_err(
                |error| self.parquet(error.into()),
            )?;
        let passthrough = batch.project(&passthrough).map_err(|error| self.parquet(error.into()))?;
        Ok(Rows { samples, passthrough })
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
        Ok(images::fetch(cells, &self.input, self.columns.image_bytes).await)
    }

    fn texts(&self, batch: &RecordBatch) -> Result<Vec<TextInput>, ReadError> {
        match columns::find(batch, &self.columns.text) {
            Some(array) => columns::texts(&self.columns.text, array).map_err(|source| self.column(source)),
            None => Ok(vec![TextInput::Missing; batch.num_rows()]),
        }
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

    fn parquet(&self, source: ParquetError) -> ReadError {
        ReadError::Parquet { file: self.shard.file.path.clone(), source }
    }

    fn column(&self, source: ColumnError) -> ReadError {
        ReadError::Column { file: self.shard.file.path.clone(), source }
    }
}

fn missing(column: &str) -> ColumnError {
    ColumnError { column: column.to_owned(), problem: "is not there; set input.image and input.passthrough to columns that are".to_owned() }
}
