//! Rows of a shard's pairs table, with columns from its ledger and images from the job's input.

use super::reference::{Referenced, ReferencedImages};
use crate::{
    cut::{Cut, DecidedRows},
    input::{CleanedRow, CleanedRows, ColumnError, Judged, PairsReader, ReadError},
    output::{LedgerError, each_of_ledger},
};
use capfilt_schemas::{commit::Output, ledger::LedgerRow, plan::Shard};
use capfilt_store::Location;
use std::{sync::Arc, vec::IntoIter};

/// The tables of one shard of a finished job.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardTables {
    /// The shard.
    pub shard: Shard,
    /// The shard's pairs table.
    pub pairs: Output,
    /// The shard's ledger.
    pub ledger: Output,
    /// The cut of the pairs; `None` for the job's own pairs.
    pub cut: Option<Arc<Cut>>,
}

/// Requested data beyond the columns of the pairs table.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Location of the images, if the job keeps them by reference.
    pub referenced: Option<Arc<Referenced>>,
    /// Whether each text's cosine is requested, and with it the row's other facts of the ledger.
    pub cosines: bool,
}

/// Reads one shard's pairs. Memory: a row group's compressed columns and 256 rows; with cosines or referenced
/// images also the ledger, about 1 kB per row of the shard.
pub struct CleanedReader {
    pairs: PairsReader,
    /// Ledger rows with a kept text; each matches one row of the pairs.
    kept: Option<IntoIter<LedgerRow>>,
    images: Option<ReferencedImages>,
    ledger: Output,
}

impl CleanedReader {
    /// Opens a shard's tables below a job's place.
    ///
    /// # Errors
    /// The objects are not tables of a job, or the store fails.
    pub async fn open(job: &Location, tables: &ShardTables, wanted: &Wanted) -> Result<Self, ReadError> {
        let pairs = PairsReader::open(job, &tables.pairs).await?;
        let kept = if wanted.cosines || wanted.referenced.is_some() {
            let fail = |error: LedgerError| ReadError::Parquet {
                file: tables.ledger.path.clone(),
                source: error.source,
            };
            Some(kept_rows(job, tables).await.map_err(fail)?.into_iter())
        } else {
            None
        };
        let images =
            wanted.referenced.as_ref().map(|of| ReferencedImages::new(Arc::clone(of), &tables.shard));
        Ok(Self { pairs, kept, images, ledger: tables.ledger.clone() })
    }

    /// Returns the next rows, or `None` after the last. A row without bytes has an image that is deleted, or
    /// differs from the judged one.
    ///
    /// # Errors
    /// A table cannot be read, or the ledger does not match the pairs.
    pub async fn next(&mut self) -> Result<Option<CleanedRows>, ReadError> {
        let Some(mut rows) = self.pairs.next().await? else { return Ok(None) };
        if self.kept.is_some() {
            for row in &mut rows.rows {
                self.complete(row).await?;
            }
        }
        if let Some(passthrough) = self.images.as_mut().map(ReferencedImages::passthrough) {
            rows.passthrough = passthrough?.unwrap_or(rows.passthrough);
        }
        Ok(Some(rows))
    }

    async fn complete(&mut self, row: &mut CleanedRow) -> Result<(), ReadError> {
        let ledger = self.kept.as_mut().and_then(Iterator::next);
        let Some(ledger) = ledger.filter(|ledger| is_of(ledger, row)) else {
            let problem = "keep other texts than the shard's pairs table has".to_owned();
            let source = ColumnError { column: "texts".to_owned(), problem };
            return Err(ReadError::Column { file: self.ledger.path.clone(), source });
        };
        let scores = ledger.kept().filter_map(|text| text.scored);
        row.texts.iter_mut().zip(scores).for_each(|(text, scored)| text.itc = Some(scored.itc));
        if let Some(images) = &mut self.images {
            row.image = images.of(row.path.as_deref().unwrap_or_default(), &ledger).await?;
        }
        let LedgerRow { file, row: number, member, image_sha256, image_hash, .. } = ledger;
        row.judged = Some(Judged { file, row: number, member, image_sha256, image_hash });
        Ok(())
    }
}

/// The rows of a ledger that keep a text, by the rules of the job or of the cut.
async fn kept_rows(job: &Location, tables: &ShardTables) -> Result<Vec<LedgerRow>, LedgerError> {
    let mut kept = Vec::new();
    let Some(cut) = &tables.cut else {
        let bucket = job.clone();
        let keep = |row: LedgerRow| kept.extend(row.keeps_a_text().then_some(row));
        each_of_ledger(&bucket, &tables.ledger, usize::MAX, keep).await?;
        return Ok(kept);
    };
    let mut rows = DecidedRows::open(job, &tables.ledger, cut).await?;
    while let Some(decided) = rows.next().await? {
        kept.extend(decided.into_iter().filter(LedgerRow::keeps_a_text));
    }
    Ok(kept)
}

/// Whether a ledger row keeps the texts of a pairs row. Ledger and pairs of one attempt have one version.
fn is_of(ledger: &LedgerRow, row: &CleanedRow) -> bool {
    let kept = ledger.kept().map(|text| (&*text.source, text.text.as_deref()));
    kept.eq(row.texts.iter().map(|text| (text.source.as_str(), Some(text.text.as_str()))))
}
