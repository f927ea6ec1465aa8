//! The pairs of a finished job, row by row: what training and export read.

use super::ReadError;
use arrow::{
    array::{Array, AsArray as _, RecordBatch},
    datatypes::Float32Type,
};
use bytes::Bytes;
use capfilt_bucket::{PinnedObject, Place};
use capfilt_schemas::{
    commit::Output,
    pairs::{self, Source},
    plan::InputFile,
    settings::training_data::Texts,
};
use futures::TryStreamExt as _;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream};

/// Rows decoded at a time.
const ROWS_AT_ONCE: usize = 256;

/// An image with the texts that were kept of it; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanedRow {
    pub key: Option<String>,
    /// As the input had them.
    pub image: Bytes,
    pub captions: Vec<KeptText>,
}

/// A text that passed the filter.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptText {
    pub text: String,
    pub source: Source,
    /// P(match).
    pub itm: f32,
}

impl CleanedRow {
    /// The texts that a rule takes, in their order. [`Texts::Random`] takes one of all of these each time.
    pub fn texts(&self, rule: Texts) -> Vec<&KeptText> {
        let of = |source| self.captions.iter().filter(move |text| text.source == source).collect();
        match rule {
            Texts::Both | Texts::Random => self.captions.iter().collect(),
            Texts::Web => of(Source::Web),
            Texts::Synthetic => of(Source::Synthetic),
            // Of equals the first, which is the web's.
            Texts::Score => self.captions.iter().rev().max_by(|a, b| a.itm.total_cmp(&b.itm)).into_iter().collect(),
        }
    }
}

/// Reads one pairs table. Memory: the compressed columns of a row group, and 256 rows.
pub struct PairsReader {
    stream: ParquetRecordBatchStream<PinnedObject>,
    object: Output,
    rows: u64,
}

impl PairsReader {
    /// Opens a table below a job's place; only its footer is read.
    ///
    /// # Errors
    /// When it is no Parquet file with the columns of [`pairs::schema`].
    pub async fn open(job: &Place, object: &Output) -> Result<Self, ReadError> {
        // Not pinned to a state: no one writes an attempt's object twice.
        let file = InputFile { path: object.path.clone(), etag: String::new(), bytes: object.bytes };
        let fail = |source| ReadError::Parquet { file: object.path.clone(), source };
        let builder = ParquetRecordBatchStreamBuilder::new(PinnedObject::new(job, &file)).await.map_err(fail)?;
        for wanted in pairs::schema(&[]).fields() {
            let found = builder.schema().field_with_name(wanted.name()).ok().map(|field| field.data_type().clone());
            if found.as_ref() != Some(wanted.data_type()) {
                let problem = match found {
                    Some(found) => format!("is {found}, and in a pairs table {}", wanted.data_type()),
                    None => "is missing: this is no pairs table".to_owned(),
                };
                let source = super::ColumnError { column: wanted.name().clone(), problem };
                return Err(ReadError::Column { file: object.path.clone(), source });
            }
        }
        let stream = builder.with_batch_size(ROWS_AT_ONCE).build().map_err(fail)?;
        Ok(Self { stream, object: object.clone(), rows: 0 })
    }

    /// The next rows, or `None` after the last.
    ///
    /// # Errors
    /// When the table cannot be read, or ends before or after the row it should.
    pub async fn next(&mut self) -> Result<Option<Vec<CleanedRow>>, ReadError> {
        let file = || self.object.path.clone();
        let batch = self.stream.try_next().await.map_err(|source| ReadError::Parquet { file: file(), source })?;
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        match batch {
            Some(batch) => Ok(Some(rows(&batch))),
            None if self.rows == self.object.rows => Ok(None),
            None => Err(ReadError::Rows { file: file(), planned: self.object.rows, found: self.rows }),
        }
    }
}

fn rows(batch: &RecordBatch) -> Vec<CleanedRow> {
    let column = |name: &str| batch.column_by_name(name).expect("the columns were checked when the table was opened");
    let (keys, lists) = (column("key").as_string::<i32>(), column("captions").as_list::<i32>());
    let images = column("image").as_struct().column_by_name("bytes").expect("a field of the image column");
    let images = images.as_binary::<i32>();
    let row = |i: usize| CleanedRow {
        key: keys.is_valid(i).then(|| keys.value(i).to_owned()),
        image: if images.is_valid(i) { Bytes::copy_from_slice(images.value(i)) } else { Bytes::new() },
        captions: captions(lists.value(i).as_struct()),
    };
    (0..batch.num_rows()).map(row).collect()
}

fn captions(cells: &arrow::array::StructArray) -> Vec<KeptText> {
    let column = |name: &str| cells.column_by_name(name).expect("the columns were checked when the table was opened");
    let (texts, sources) = (column("text").as_string::<i32>(), column("source").as_string::<i32>());
    let itms = column("itm").as_primitive::<Float32Type>();
    let source = |i| if sources.value(i) == Source::Web.as_str() { Source::Web } else { Source::Synthetic };
    let text = |i| KeptText { text: texts.value(i).to_owned(), source: source(i), itm: itms.value(i) };
    (0..cells.len()).map(text).collect()
}
