//! Pairs of a shard by the rules of a cut, from the shard's ledger and, for images, from its input.
//!
//! No image is decoded and no model is loaded. Rows with images are written in the batches of the job, so the
//! pairs equal those of a job with these rules to the byte.

use crate::{
    batcher::{BatchRow, Batcher},
    flow::PreparedRows,
    worker::{StartError, linked_columns},
};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::Schema,
    error::ArrowError,
};
use capfilt_pipeline::{
    cut::{Cut, DecidedRows},
    input::{ImageInput, READING_BYTES, ReadError, Rows, ShardReader},
    output::{JudgedRows, LedgerError, PairsWriter, WriteError},
};
use capfilt_schemas::{
    commit::Output,
    cut::CutShard,
    ledger::LedgerRow,
    plan::Shard,
    settings::{self, Images, PairsFormat, Settings},
    status::RowStatus,
    tally::Tally,
    texts::OptionalColumns,
};
use capfilt_store::Location;
use sha2::{Digest as _, Sha256};
use std::{collections::VecDeque, sync::Arc};

/// Reason why a shard's part of a cut was not written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum RecutError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the input cannot be read again: {0}")]
    Input(#[from] ReadError),
    #[error("{file}: the input has other rows than the ledger, from row {row} on")]
    OtherRows { file: String, row: u64 },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the pass-through columns cannot be joined: {0}")]
    Arrow(#[from] ArrowError),
}

/// Inputs of a cut's tables.
#[derive(Debug, Clone)]
pub struct Recut {
    /// Location of the job.
    pub bucket: Location,
    /// The job's frozen settings.
    pub settings: Settings,
    /// The rules.
    pub cut: Arc<Cut>,
    /// Location of the input, for a cut with images; `None` for one that refers to them.
    pub input: Option<Location>,
}

/// Ledger of a shard, and the batch size of the shard's model calls.
#[derive(Debug, Clone)]
pub struct ShardLedger {
    /// The shard.
    pub shard: Shard,
    /// Its ledger.
    pub ledger: Output,
    /// Batch size of its commit.
    pub batch: usize,
}

impl Recut {
    /// Writes the pairs of a shard to the object `path`, to which the writer adds the extension of the
    /// format. Returns the shard's part of the cut and the number of lost images.
    ///
    /// # Errors
    /// The ledger or the input cannot be read, or the store fails.
    pub async fn shard(&self, of: &ShardLedger, path: String) -> Result<(CutShard, u64), RecutError> {
        let ledger = DecidedRows::open(&self.bucket, &of.ledger, &self.cut).await?;
        let writing = match &self.input {
            None => self.pointers(ledger, path).await?,
            Some(input) => self.images(of, ledger, input, path).await?,
        };
        let Writing { pairs, tally, lost } = writing;
        Ok((CutShard { shard: of.shard.id.clone(), tally, pairs: pairs.finish().await? }, lost))
    }

    /// Optional columns of the job's pairs.
    fn optional(&self) -> OptionalColumns {
        OptionalColumns { clip: self.settings.models.clip.is_some(), embeddings: None }
    }

    /// Pairs that refer to their images, always in Parquet, without pass-through columns.
    async fn pointers(&self, mut ledger: DecidedRows, path: String) -> Result<Writing, RecutError> {
        let output = settings::Output {
            images: Images::Reference,
            format: PairsFormat::Parquet,
            ..self.settings.output.clone()
        };
        let pairs = PairsWriter::new(&self.bucket, path, &[], &output, self.optional());
        let mut writing = Writing { pairs, tally: Tally::default(), lost: 0 };
        while let Some(rows) = ledger.next().await? {
            rows.iter().for_each(|row| writing.tally.add(row));
            let kept: Vec<LedgerRow> = rows.into_iter().filter(LedgerRow::keeps_a_text).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
            let passthrough = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
            let images = vec![ImageInput::Missing; kept.len()];
            writing.pairs.write(&JudgedRows { ledger: kept, images, texts: Vec::new(), passthrough }).await?;
        }
        Ok(writing)
    }

    /// Pairs as the job would write them.
    async fn images(
        &self,
        of: &ShardLedger,
        ledger: DecidedRows,
        input: &Location,
        path: String,
    ) -> Result<Writing, RecutError> {
        let columns = linked_columns(&self.settings, READING_BYTES)?;
        let mut reader = ShardReader::open(input, &of.shard, columns, of.batch).await?;
        let pairs = PairsWriter::new(
            &self.bucket,
            path,
            reader.passthrough(),
            &self.settings.output,
            self.optional(),
        );
        let mut writing = Writing { pairs, tally: Tally::default(), lost: 0 };
        let mut decided = Decided { rows: ledger, ahead: VecDeque::new(), file: &of.shard.file.path };
        let mut batcher = Batcher::default();
        while let Some(rows) = reader.next().await? {
            batcher.push(decided.join(rows).await?);
            while let Some(batch) = batcher.full(of.batch)? {
                writing.write(batch).await?;
            }
        }
        if let Some(batch) = batcher.rest()? {
            writing.write(batch).await?;
        }
        match decided.next().await? {
            Some(row) => Err(RecutError::OtherRows { file: row.file, row: row.row }),
            None => Ok(writing),
        }
    }
}

/// A row with its image.
struct Recalled {
    ledger: LedgerRow,
    image: ImageInput,
}

impl BatchRow for Recalled {
    fn has_image(&self) -> bool {
        self.ledger.status == RowStatus::Judged
    }
}

/// Rows of a ledger, requested one by one.
struct Decided<'a> {
    rows: DecidedRows,
    ahead: VecDeque<LedgerRow>,
    file: &'a str,
}

impl Decided<'_> {
    async fn next(&mut self) -> Result<Option<LedgerRow>, RecutError> {
        if self.ahead.is_empty() {
            self.ahead.extend(self.rows.next().await?.unwrap_or_default());
        }
        Ok(self.ahead.pop_front())
    }

    /// Joins rows of the input with their rows of the ledger.
    async fn join(&mut self, rows: Rows) -> Result<PreparedRows<Recalled>, RecutError> {
        let Rows { samples, bytes, passthrough } = rows;
        let mut joined = Vec::with_capacity(samples.len());
        for sample in samples {
            let ledger = self.next().await?.filter(|ledger| ledger.row == sample.row);
            let other = || RecutError::OtherRows { file: self.file.to_owned(), row: sample.row };
            joined.push(Recalled { ledger: ledger.ok_or_else(other)?, image: sample.image });
        }
        Ok(PreparedRows { rows: joined, bytes, passthrough, held: Vec::new() })
    }
}

/// Pairs that are being written, with their counts.
struct Writing {
    pairs: PairsWriter,
    tally: Tally,
    lost: u64,
}

impl Writing {
    async fn write(&mut self, batch: PreparedRows<Recalled>) -> Result<(), RecutError> {
        let PreparedRows { rows, passthrough, .. } = batch;
        let (mut ledger, mut images) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for Recalled { ledger: mut row, image } in rows {
            if row.keeps_a_text() && !is_same(&image, &row) {
                row.texts
                    .iter_mut()
                    .filter_map(|text| text.scored.as_mut())
                    .for_each(|score| score.kept = false);
                self.lost += 1;
            }
            self.tally.add(&row);
            ledger.push(row);
            images.push(image);
        }
        self.pairs.write(&JudgedRows { ledger, images, texts: Vec::new(), passthrough }).await?;
        Ok(())
    }
}

/// Whether the image is the judged one.
fn is_same(image: &ImageInput, row: &LedgerRow) -> bool {
    match image {
        ImageInput::Bytes { bytes, .. } => row.image_sha256 == Some(Sha256::digest(bytes).into()),
        _ => false,
    }
}
