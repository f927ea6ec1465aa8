//! Images that a job keeps by reference, read from its input and compared with the judged images.

use crate::input::{
    ImageInput, InputColumns, READING_BYTES, ReadError, Rows, Sample, ShardReader, fetch_named_image,
};
use arrow::{array::RecordBatch, compute::concat_batches};
use bytes::Bytes;
use capfilt_schemas::{ledger::LedgerRow, plan::Shard};
use capfilt_store::Location;
use parquet::errors::ParquetError;
use sha2::{Digest as _, Sha256};
use std::{collections::VecDeque, sync::Arc};

/// Rows that are decoded from Parquet at once.
const ROWS_AT_ONCE: usize = 64;

/// Location of the images of a job that keeps them by reference.
#[derive(Debug, Clone)]
pub struct Referenced {
    /// The job's input.
    pub input: Location,
    /// Column of the input with the images.
    pub column: String,
    /// Largest object in bytes that is read for an image.
    pub image_bytes: u64,
    /// Columns of the input that the pairs table should have and does not have.
    pub passthrough: Vec<String>,
}

/// Images of one shard, requested in the order of its rows.
pub(super) struct ReferencedImages {
    of: Arc<Referenced>,
    shard: Shard,
    rows: Option<ShardReader>,
    /// Rows that were read and not yet requested, with their pass-through columns.
    ahead: VecDeque<(Sample, RecordBatch)>,
    /// Pass-through columns of the requested rows.
    passed: Vec<RecordBatch>,
}

impl ReferencedImages {
    pub fn new(of: Arc<Referenced>, shard: &Shard) -> Self {
        Self { of, shard: shard.clone(), rows: None, ahead: VecDeque::new(), passed: Vec::new() }
    }

    /// Returns the bytes at a path of the pairs table; empty when they are deleted, or differ from the judged
    /// image.
    ///
    /// # Errors
    /// The store fails, or the input file is not the planned one.
    pub async fn of(&mut self, path: &str, ledger: &LedgerRow) -> Result<Bytes, ReadError> {
        let image = if path == format!("{}#{}", ledger.file, ledger.row) {
            self.of_row(ledger.row).await?
        } else {
            let input = self.of.input.around(&ledger.file);
            let fetched = fetch_named_image(path.to_owned(), &input, self.of.image_bytes).await;
            let source = |error| ParquetError::External(Box::new(error));
            fetched.map_err(|error| ReadError::Parquet { file: path.to_owned(), source: source(error) })?
        };
        Ok(match image {
            ImageInput::Bytes { bytes, .. } if is_judged(&bytes, ledger) => bytes,
            _ => Bytes::new(),
        })
    }

    /// Pass-through columns of the rows that were requested since the last call; `None` if the pairs table
    /// has the columns.
    ///
    /// # Errors
    /// The columns of two row groups have different types.
    pub fn passthrough(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let Some(first) = self.passed.first() else { return Ok(None) };
        let joined = concat_batches(&first.schema(), &self.passed);
        self.passed.clear();
        let file = self.shard.file.path.clone();
        joined.map(Some).map_err(|error| ReadError::Parquet { file, source: error.into() })
    }

    /// The image of a row of the shard's file; rows before it are skipped.
    async fn of_row(&mut self, row: u64) -> Result<ImageInput, ReadError> {
        loop {
            while let Some((sample, passed)) = self.ahead.pop_front() {
                if sample.row == row {
                    if !self.of.passthrough.is_empty() {
                        self.passed.push(passed);
                    }
                    return Ok(sample.image);
                }
            }
            if self.rows.is_none() {
                self.rows = Some(open(Arc::clone(&self.of), self.shard.clone()).await?);
            }
            let Some(reader) = &mut self.rows else { return Ok(ImageInput::Missing) };
            match reader.next().await? {
                Some(Rows { samples, passthrough, .. }) => {
                    let slices = (0..samples.len()).map(|at| passthrough.slice(at, 1));
                    self.ahead.extend(samples.into_iter().zip(slices));
                }
                None => return Ok(ImageInput::Missing),
            }
        }
    }
}

/// The image of a row of a shard, as the input has it now; all rows of the shard before it are read too.
///
/// # Errors
/// The store fails, or the input file is not the planned one.
pub async fn image_in_input(of: Arc<Referenced>, shard: &Shard, row: u64) -> Result<ImageInput, ReadError> {
    ReferencedImages::new(of, shard).of_row(row).await
}

/// Opens the rows of a shard with only the image column.
async fn open(of: Arc<Referenced>, shard: Shard) -> Result<ShardReader, ReadError> {
    let columns = InputColumns {
        key: String::new(),
        image: of.column.clone(),
        texts: Vec::new(),
        selection: None,
        passthrough: of.passthrough.clone(),
        max_words: 0,
        image_bytes: of.image_bytes,
        text_bytes: 0,
        most_texts: 1,
        seed: 0,
        memory: READING_BYTES,
        links: None,
    };
    ShardReader::open(&of.input, &shard, columns, ROWS_AT_ONCE).await
}

/// Whether these are the bytes of the judged image.
pub fn is_judged(image: &[u8], ledger: &LedgerRow) -> bool {
    ledger.image_sha256.is_some_and(|judged| judged == <[u8; 32]>::from(Sha256::digest(image)))
}
