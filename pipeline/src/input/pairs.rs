//! Rows of the pairs table of a finished job, as stored.

use super::ReadError;
use arrow::{array::RecordBatch, error::ArrowError};
use bytes::Bytes;
use capfilt_schemas::{
    commit::Output,
    pairs::{self, PairsRow, PairsText, Source},
    settings::training_data::Texts,
};
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream};
use std::borrow::Cow;

/// Rows that are decoded at once.
const ROWS_AT_ONCE: usize = 256;

/// An image with its kept texts; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanedRow {
    /// The input's key of the row.
    pub key: Option<String>,
    /// The input's bytes; empty if the job keeps images by reference.
    pub image: Bytes,
    /// The path in the input row, or the reference of a job that keeps images by reference.
    pub path: Option<String>,
    /// Width in pixels as stored in the image.
    pub width: u32,
    /// Height in pixels as stored in the image.
    pub height: u32,
    /// Kept texts, in the order of the table.
    pub captions: Vec<KeptText>,
}

/// A text that passed the filter.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptText {
    /// The text.
    pub text: String,
    /// Source of the text.
    pub source: Source,
    /// P(match).
    pub itm: f32,
    /// Cosine, if the ledger was read too.
    pub itc: Option<f32>,
}

/// Some rows of a table, with the pass-through columns row for row.
#[derive(Debug)]
pub struct CleanedRows {
    /// The rows.
    pub rows: Vec<CleanedRow>,
    /// The pass-through columns.
    pub passthrough: RecordBatch,
}

impl CleanedRow {
    /// The texts that a rule selects, in their order. For [`Texts::Random`], one of these is sampled each
    /// time.
    pub fn texts(&self, rule: Texts) -> Vec<&KeptText> {
        let of = |source| self.captions.iter().filter(move |text| text.source == source).collect();
        match rule {
            Texts::Both | Texts::Random => self.captions.iter().collect(),
            Texts::Web => of(Source::Web),
            Texts::Synthetic => of(Source::Synthetic),
            // Of equal scores the first text, which is the web text.
            Texts::Score => {
                self.captions.iter().rev().max_by(|a, b| a.itm.total_cmp(&b.itm)).into_iter().collect()
            }
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
    /// The object is not a Parquet file with the columns of [`pairs::schema`].
    pub async fn open(job: &Location, object: &Output) -> Result<Self, ReadError> {
        let fail = |source| ReadError::Parquet { file: object.path.clone(), source };
        let reader = PinnedObject::of_output(job, object);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(fail)?;
        for wanted in pairs::schema(&[]).fields() {
            let found =
                builder.schema().field_with_name(wanted.name()).ok().map(|field| field.data_type().clone());
            if found.as_ref() != Some(wanted.data_type()) {
                let problem = match found {
                    Some(found) => format!("is {found}, and in a pairs table {}", wanted.data_type()),
                    None => "is missing: this is not a pairs table".to_owned(),
                };
                let source = super::ColumnError { column: wanted.name().clone(), problem };
                return Err(ReadError::Column { file: object.path.clone(), source });
            }
        }
        let stream = builder.with_batch_size(ROWS_AT_ONCE).build().map_err(fail)?;
        Ok(Self { stream, object: object.clone(), rows: 0 })
    }

    /// Returns the next rows, or `None` after the last.
    ///
    /// # Errors
    /// The table cannot be read, or has another number of rows than expected.
    pub async fn next(&mut self) -> Result<Option<CleanedRows>, ReadError> {
        let file = || self.object.path.clone();
        let batch =
            self.stream.try_next().await.map_err(|source| ReadError::Parquet { file: file(), source })?;
        let first = self.rows;
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        match batch {
            Some(batch) => {
                let rows = rows(&batch, first).map_err(|problem| self.wrong_captions(problem))?;
                Ok(Some(CleanedRows { rows, passthrough: self.passthrough(&batch)? }))
            }
            None if self.rows == self.object.rows => Ok(None),
            None => Err(ReadError::Rows { file: file(), planned: self.object.rows, found: self.rows }),
        }
    }

    fn wrong_captions(&self, problem: String) -> ReadError {
        let source = super::ColumnError { column: "captions".to_owned(), problem };
        ReadError::Column { file: self.object.path.clone(), source }
    }

    /// The pass-through columns of a batch.
    fn passthrough(&self, batch: &RecordBatch) -> Result<RecordBatch, ReadError> {
        let ours = pairs::schema(&[]);
        let names = batch.schema();
        let others =
            (0..batch.num_columns()).filter(|&i| ours.field_with_name(names.field(i).name()).is_err());
        let fail =
            |error: ArrowError| ReadError::Parquet { file: self.object.path.clone(), source: error.into() };
        batch.project(&others.collect::<Vec<_>>()).map_err(fail)
    }
}

/// Rows of a batch; `first` is the number of the first row in its table.
fn rows(batch: &RecordBatch, first: u64) -> Result<Vec<CleanedRow>, String> {
    let row = |(number, row): (u64, PairsRow)| {
        let text = |kept: PairsText| {
            let unknown = || format!("of row {number} has a text of the source `{}`", kept.source);
            let source = Source::parse(kept.source).ok_or_else(unknown)?;
            Ok(KeptText { text: kept.text.to_owned(), source, itm: kept.itm, itc: None })
        };
        Ok(CleanedRow {
            key: row.key.map(str::to_owned),
            image: row.image.map(Bytes::copy_from_slice).unwrap_or_default(),
            path: row.path.map(Cow::into_owned),
            width: row.width,
            height: row.height,
            captions: row.captions.into_iter().map(text).collect::<Result<_, String>>()?,
        })
    };
    (first..).zip(pairs::rows(batch)).map(row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use capfilt_schemas::object_keys::Table;

    /// A pairs table of one row with one text of a source.
    fn table(source: &str) -> RecordBatch {
        let captions = vec![PairsText { text: "a dog", source, itm: 0.75 }];
        let row = PairsRow { key: Some("k"), image: Some(b"x"), path: None, width: 4, height: 3, captions };
        pairs::batch(&pairs::schema(&[]), &[row], &[]).unwrap()
    }

    async fn read(source: &str) -> Result<CleanedRow, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.parquet");
        let batch = table(source);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let (bytes, sha256) = (std::fs::metadata(&path).unwrap().len(), String::new());
        let object = Output { table: Table::Pairs, path: "pairs.parquet".to_owned(), bytes, sha256, rows: 1 };
        let place = Location::open(folder.path().to_str().unwrap()).unwrap();
        let mut reader = PairsReader::open(&place, &object).await?;
        Ok(reader.next().await?.unwrap().rows.remove(0))
    }

    #[tokio::test]
    async fn a_text_of_an_unknown_source_is_an_error_and_never_taken_for_another() {
        assert_eq!(read("web").await.unwrap().captions[0].source, Source::Web);
        assert_eq!(read("synthetic").await.unwrap().captions[0].source, Source::Synthetic);
        let error = read("wbe").await.unwrap_err().to_string();
        assert!(error.contains("`captions` of row 0") && error.contains("`wbe`"), "{error}");
    }
}
