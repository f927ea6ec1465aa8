//! Rows of the pairs table of a finished job, as stored.

use super::ReadError;
use arrow::{array::RecordBatch, error::ArrowError};
use bytes::Bytes;
use capfilt_schemas::{
    commit::Output,
    first_lacking,
    pairs::{self, PairsRow, PairsText, Version},
    settings::training_data::Texts,
    texts::SYNTHETIC,
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
    pub texts: Vec<KeptText>,
}

/// A text that passed the filter.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptText {
    /// The text.
    pub text: String,
    /// Name of the text column, or `synthetic`.
    pub source: String,
    /// P(match).
    pub itm: f32,
    /// Cosine; of a table of version 1 only if the ledger was read too.
    pub itc: Option<f32>,
}

impl KeptText {
    /// Whether the captioner wrote the text.
    pub fn is_synthetic(&self) -> bool {
        self.source == SYNTHETIC
    }
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
    pub fn selected(&self, rule: Texts) -> Vec<&KeptText> {
        let of = |is_synthetic| {
            self.texts.iter().filter(move |text| text.is_synthetic() == is_synthetic).collect()
        };
        match rule {
            Texts::Both | Texts::Random => self.texts.iter().collect(),
            Texts::Web => of(false),
            Texts::Synthetic => of(true),
            // Of equal scores the first text: one of the input, if there is one.
            Texts::Score => {
                self.texts.iter().rev().max_by(|a, b| a.itm.total_cmp(&b.itm)).into_iter().collect()
            }
        }
    }
}

/// Reads one pairs table. Memory: the compressed columns of a row group, and 256 rows.
pub struct PairsReader {
    stream: ParquetRecordBatchStream<PinnedObject>,
    version: Version,
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
        let version = Version::of(builder.schema());
        if let Some(wanted) = first_lacking(&version.schema(), builder.schema()) {
            let problem = match builder.schema().field_with_name(wanted.name()) {
                Ok(found) => {
                    format!("is {}, and in a pairs table {}", found.data_type(), wanted.data_type())
                }
                Err(_) => "is missing: this is not a pairs table".to_owned(),
            };
            let source = super::ColumnError { column: wanted.name().clone(), problem };
            return Err(ReadError::Column { file: object.path.clone(), source });
        }
        let stream = builder.with_batch_size(ROWS_AT_ONCE).build().map_err(fail)?;
        Ok(Self { stream, version, object: object.clone(), rows: 0 })
    }

    /// Returns the next rows, or `None` after the last.
    ///
    /// # Errors
    /// The table cannot be read, or has another number of rows than expected.
    pub async fn next(&mut self) -> Result<Option<CleanedRows>, ReadError> {
        let file = || self.object.path.clone();
        let batch =
            self.stream.try_next().await.map_err(|source| ReadError::Parquet { file: file(), source })?;
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        match batch {
            Some(batch) => {
                let rows = pairs::rows(&batch, self.version).map(cleaned).collect();
                Ok(Some(CleanedRows { rows, passthrough: self.passthrough(&batch)? }))
            }
            None if self.rows == self.object.rows => Ok(None),
            None => Err(ReadError::Rows { file: file(), planned: self.object.rows, found: self.rows }),
        }
    }

    /// The pass-through columns of a batch.
    fn passthrough(&self, batch: &RecordBatch) -> Result<RecordBatch, ReadError> {
        let ours = self.version.schema();
        let names = batch.schema();
        let others =
            (0..batch.num_columns()).filter(|&i| ours.field_with_name(names.field(i).name()).is_err());
        let fail =
            |error: ArrowError| ReadError::Parquet { file: self.object.path.clone(), source: error.into() };
        batch.project(&others.collect::<Vec<_>>()).map_err(fail)
    }
}

fn cleaned(row: PairsRow) -> CleanedRow {
    let text = |kept: PairsText| KeptText {
        text: kept.text.to_owned(),
        source: kept.source.to_owned(),
        itm: kept.itm,
        itc: kept.itc,
    };
    CleanedRow {
        key: row.key.map(str::to_owned),
        image: row.image.map(Bytes::copy_from_slice).unwrap_or_default(),
        path: row.path.map(Cow::into_owned),
        width: row.width,
        height: row.height,
        texts: row.texts.into_iter().map(text).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, ListArray, StringArray, StructArray},
        datatypes::{DataType, Schema},
    };
    use capfilt_schemas::object_keys::Table;
    use std::{collections::HashMap, sync::Arc};

    fn table() -> RecordBatch {
        let texts = vec![PairsText { source: "alt", text: "a dog", itm: 0.75, itc: Some(0.5) }];
        let row = PairsRow { key: Some("k"), image: Some(b"x"), path: None, width: 4, height: 3, texts };
        pairs::batch(&pairs::schema(&[]), &[row], &[]).unwrap()
    }

    /// The table as version 1 wrote it.
    fn earlier() -> RecordBatch {
        let schema = Version::One.schema();
        let DataType::List(item) = schema.field(2).data_type() else { panic!("texts are a list") };
        let DataType::Struct(fields) = item.data_type() else { panic!("a text is a struct") };
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let itm: ArrayRef = Arc::new(arrow::array::Float32Array::from(vec![0.75]));
        let texts = StructArray::new(fields.clone(), vec![text("a dog"), text("web"), itm], None);
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([1]);
        let mut columns = table().columns().to_vec();
        columns[2] = Arc::new(ListArray::new(Arc::clone(item), offsets, Arc::new(texts), None));
        let metadata = HashMap::from([("capfilt.pairs.version".to_owned(), "1".to_owned())]);
        let schema = Arc::new(Schema::clone(&schema).with_metadata(metadata));
        RecordBatch::try_new(schema, columns).unwrap()
    }

    async fn read(batch: &RecordBatch) -> KeptText {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.parquet");
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let (bytes, sha256) = (std::fs::metadata(&path).unwrap().len(), String::new());
        let object = Output { table: Table::Pairs, path: "pairs.parquet".to_owned(), bytes, sha256, rows: 1 };
        let place = Location::open(folder.path().to_str().unwrap()).unwrap();
        let mut reader = PairsReader::open(&place, &object).await.unwrap();
        let mut rows = reader.next().await.unwrap().unwrap();
        assert_eq!(rows.passthrough.num_columns(), 0);
        rows.rows.remove(0).texts.remove(0)
    }

    #[tokio::test]
    async fn tables_of_both_versions_are_read() {
        let text =
            |source: &str, itc| KeptText { text: "a dog".into(), source: source.into(), itm: 0.75, itc };
        assert_eq!(read(&table()).await, text("alt", Some(0.5)));
        assert_eq!(read(&earlier()).await, text("web", None));
    }
}
