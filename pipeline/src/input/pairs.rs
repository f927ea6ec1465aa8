//! Rows of the pairs of a finished job, as stored: in a Parquet file or in a tar.

mod table;
mod tar;

use super::ReadError;
use arrow::array::RecordBatch;
use bytes::Bytes;
use capfilt_schemas::{
    commit::Output,
    pairs::{PairsRow, PairsText},
    settings::training_data::Texts,
    texts::SYNTHETIC,
};
use capfilt_store::Location;
use std::borrow::Cow;
use table::TableReader;
use tar::TarReader;

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
    /// Facts of the ledger, if it was read too.
    pub judged: Option<Judged>,
}

/// Facts of a row that only the ledger has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Path of the input file, and number of the row in it.
    pub file: String,
    /// Number of the row in the file.
    pub row: u64,
    /// Member of a tar, image of a folder or URL that has the image.
    pub member: Option<String>,
    /// Digest of the image's bytes.
    pub image_sha256: Option<[u8; 32]>,
    /// Perceptual hash of the image.
    pub image_hash: Option<u64>,
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
    /// The pass-through columns. Columns of a tar are booleans, whole numbers, numbers or texts.
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

/// Reads the pairs of one shard. Memory: 256 rows; of a Parquet file also the compressed columns of a row
/// group, of a tar at most 64 MiB of images and two pieces of 4 MiB.
pub struct PairsReader {
    stored: Stored,
    object: Output,
    rows: u64,
}

enum Stored {
    Table(Box<TableReader>),
    Tar(Box<TarReader>),
}

impl PairsReader {
    /// Opens a table below a job's place; of a Parquet file only its footer is read, of a tar nothing.
    ///
    /// # Errors
    /// The object is not a Parquet file with the columns of [`schema`](capfilt_schemas::pairs::schema).
    pub async fn open(job: &Location, object: &Output) -> Result<Self, ReadError> {
        let stored = match object.is_tar() {
            true => Stored::Tar(Box::new(TarReader::open(job, object))),
            false => Stored::Table(Box::new(TableReader::open(job, object).await?)),
        };
        Ok(Self { stored, object: object.clone(), rows: 0 })
    }

    /// Returns the next rows, or `None` after the last.
    ///
    /// # Errors
    /// The table cannot be read, or has another number of rows than expected.
    pub async fn next(&mut self) -> Result<Option<CleanedRows>, ReadError> {
        let read = match &mut self.stored {
            Stored::Table(reader) => reader.next().await?,
            Stored::Tar(reader) => reader.next().await?,
        };
        self.rows += read.as_ref().map_or(0, |read| read.rows.len() as u64);
        match read {
            None if self.rows != self.object.rows => {
                let (file, planned) = (self.object.path.clone(), self.object.rows);
                Err(ReadError::Rows { file, planned, found: self.rows })
            }
            read => Ok(read),
        }
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
        judged: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
