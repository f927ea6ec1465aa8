//! Rows of the pairs table of a finished job, as stored.

use super::ReadError;
use arrow::{
    array::{Array, AsArray as _, RecordBatch},
    datatypes::{Float32Type, UInt32Type},
    error::ArrowError,
};
use bytes::Bytes;
use capfilt_schemas::{
    commit::Output,
    pairs::{self, Source},
    plan::InputFile,
    settings::training_data::Texts,
};
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream};

/// Rows that are decoded at once.
const ROWS_AT_ONCE: usize = 256;

/// An image with its kept texts; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanedRow {
    pub key: Option<String>,
    /// The input's bytes; empty if the job keeps images by reference.
    pub image: Bytes,
    /// The path in the input row, or the reference of a job that keeps images by reference.
    pub path: Option<String>,
    pub width: u32,
    pub height: u32,
    pub captions: Vec<KeptText>,
}

/// A text that passed the filter.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptText {
    pub text: String,
    pub source: Source,
    /// P(match).
    pub itm: f32,
    /// Cosine, if the ledger was read too.
    pub itc: Option<f32>,
}

/// Some rows of a table, with the pass-through columns row for row.
#[derive(Debug)]
pub struct CleanedRows {
    pub rows: Vec<CleanedRow>,
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
        // Without an ETag: an attempt's object is written only once.
        let file = InputFile { path: object.path.clone(), etag: String::new(), bytes: object.bytes };
        let fail = |source| ReadError::Parquet { file: object.path.clone(), source };
        let builder =
            ParquetRecordBatchStreamBuilder::new(PinnedObject::new(job, &file)).await.map_err(fail)?;
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
    let column =
        |name: &str| batch.column_by_name(name).expect("the columns were checked when the table was opened");
    let (keys, lists) = (column("key").as_string::<i32>(), column("captions").as_list::<i32>());
    let size = |name: &str, i| column(name).as_primitive::<UInt32Type>().value(i);
    let image = column("image").as_struct();
    let field = |name: &str| image.column_by_name(name).expect("a field of the image column");
    let (images, paths) = (field("bytes").as_binary::<i32>(), field("path").as_string::<i32>());
    let row = |i: usize| {
        Ok(CleanedRow {
            key: keys.is_valid(i).then(|| keys.value(i).to_owned()),
            image: if images.is_valid(i) { Bytes::copy_from_slice(images.value(i)) } else { Bytes::new() },
            path: paths.is_valid(i).then(|| paths.value(i).to_owned()),
            width: size("width", i),
            height: size("height", i),
            captions: captions(lists.value(i).as_struct())
                .map_err(|found| format!("of row {} has a text of the source `{found}`", first + i as u64))?,
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The texts of one image, or the name of an unknown source.
fn captions(cells: &arrow::array::StructArray) -> Result<Vec<KeptText>, String> {
    let column =
        |name: &str| cells.column_by_name(name).expect("the columns were checked when the table was opened");
    let (texts, sources) = (column("text").as_string::<i32>(), column("source").as_string::<i32>());
    let itms = column("itm").as_primitive::<Float32Type>();
    let text = |i: usize| {
        let source = Source::parse(sources.value(i)).ok_or_else(|| sources.value(i).to_owned())?;
        Ok(KeptText { text: texts.value(i).to_owned(), source, itm: itms.value(i), itc: None })
    };
    (0..cells.len()).map(text).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, BinaryArray, Float32Array, ListArray, StringArray, StructArray, UInt32Array},
        buffer::OffsetBuffer,
    };
    use capfilt_schemas::object_keys::Table;
    use std::sync::Arc;

    /// A pairs table of one row with one text of a source.
    fn table(source: &str) -> RecordBatch {
        let texts: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec!["a dog"])),
            Arc::new(StringArray::from(vec![source])),
            Arc::new(Float32Array::from(vec![0.75])),
        ];
        let texts = StructArray::new(pairs::caption_fields(), texts.into(), None);
        let captions =
            ListArray::new(pairs::caption_item(), OffsetBuffer::from_lengths([1]), Arc::new(texts), None);
        let image: [ArrayRef; 2] =
            [Arc::new(BinaryArray::from_vec(vec![b"x"])), Arc::new(StringArray::from(vec![None::<&str>]))];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["k"])),
            Arc::new(StructArray::new(pairs::image_fields(), image.into(), None)),
            Arc::new(captions),
            Arc::new(UInt32Array::from(vec![4])),
            Arc::new(UInt32Array::from(vec![3])),
        ];
        RecordBatch::try_new(pairs::schema(&[]), columns).unwrap()
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
