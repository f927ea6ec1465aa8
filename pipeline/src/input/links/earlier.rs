//! Images of a shard's earlier commit. A repair processes some rows again and keeps the results of the other
//! rows, whose links may be dead by now; the tables have their images.

use super::super::{PairsReader, ReadError};
use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::UInt64Type,
};
use bytes::Bytes;
use capfilt_schemas::commit::Output;
use capfilt_store::{Location, PinnedObject};
use futures::TryStreamExt as _;
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream},
    errors::ParquetError,
};
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

/// Rows of the quarantine that are decoded at once; each has an image.
const ROWS_AT_ONCE: usize = 16;

/// Where the image of a row with an earlier result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierImage {
    /// In the pairs table: the row keeps a text.
    Pairs,
    /// In the quarantine table.
    Quarantine,
    /// Nowhere: no table needs it.
    NotNeeded,
}

/// Rows whose links are not fetched, with the tables that have their images. Memory: about 20 bytes per row.
#[derive(Debug, Default)]
pub struct EarlierImages {
    /// Location of the job; `None` without tables.
    pub job: Option<Location>,
    /// The earlier pairs table.
    pub pairs: Option<Output>,
    /// The earlier quarantine table.
    pub quarantine: Option<Output>,
    /// The rows, by their number in the file. All other links are fetched.
    pub rows: HashMap<u64, EarlierImage>,
    /// If there are ranges, links of rows outside of them are not fetched either.
    pub only: Option<Vec<Range<u64>>>,
}

impl EarlierImages {
    /// Whether a row's link is fetched.
    pub(super) fn is_fetched(&self, row: u64) -> bool {
        let is_outside = self.only.as_ref().is_some_and(|only| !only.iter().any(|rows| rows.contains(&row)));
        !is_outside && !self.rows.contains_key(&row)
    }
}

/// Reads the images in the order of the rows.
#[derive(Default)]
pub(super) struct EarlierReader {
    pairs: Option<PairsReader>,
    pairs_ahead: VecDeque<Bytes>,
    quarantine: Option<ParquetRecordBatchStream<PinnedObject>>,
    quarantine_ahead: VecDeque<(u64, Bytes)>,
}

impl EarlierReader {
    /// Image of a row that `earlier` lists; `None` if no table has it. A job that keeps images by reference
    /// has kept rows without bytes.
    pub(super) async fn image(
        &mut self,
        earlier: &EarlierImages,
        row: u64,
    ) -> Result<Option<Bytes>, ReadError> {
        let Some(job) = &earlier.job else { return Ok(None) };
        match (earlier.rows.get(&row), &earlier.pairs, &earlier.quarantine) {
            (Some(EarlierImage::Pairs), Some(pairs), _) => self.of_pairs(job, pairs).await.map(Some),
            (Some(EarlierImage::Quarantine), _, Some(quarantine)) => {
                let image = self.of_quarantine(job, quarantine, row).await;
                let fail = |source| ReadError::Parquet { file: quarantine.path.clone(), source };
                Ok(Some(image.map_err(fail)?).filter(|image| !image.is_empty()))
            }
            _ => Ok(None),
        }
    }

    /// The image of the next kept row: the pairs table has them in this order.
    async fn of_pairs(&mut self, job: &Location, output: &Output) -> Result<Bytes, ReadError> {
        if self.pairs.is_none() {
            self.pairs = Some(PairsReader::open(job, output).await?);
        }
        while self.pairs_ahead.is_empty()
            && let Some(pairs) = &mut self.pairs
            && let Some(rows) = pairs.next().await?
        {
            self.pairs_ahead.extend(rows.rows.into_iter().map(|row| row.image));
        }
        let short = || ReadError::Parquet {
            file: output.path.clone(),
            source: ParquetError::General("it has fewer rows than its ledger keeps".to_owned()),
        };
        self.pairs_ahead.pop_front().ok_or_else(short)
    }

    async fn of_quarantine(
        &mut self,
        job: &Location,
        output: &Output,
        wanted: u64,
    ) -> Result<Bytes, ParquetError> {
        if self.quarantine.is_none() {
            let object = PinnedObject::of_output(job, output);
            let builder = ParquetRecordBatchStreamBuilder::new(object).await?;
            self.quarantine = Some(builder.with_batch_size(ROWS_AT_ONCE).build()?);
        }
        loop {
            while let Some((row, image)) = self.quarantine_ahead.pop_front() {
                if row == wanted {
                    return Ok(image);
                }
            }
            let Some(stream) = &mut self.quarantine else { return Ok(Bytes::new()) };
            let Some(batch) = stream.try_next().await? else { return Ok(Bytes::new()) };
            let missing = || ParquetError::General("it has no columns `row` and `image`".to_owned());
            let rows = batch.column_by_name("row").and_then(|rows| rows.as_primitive_opt::<UInt64Type>());
            let images = batch.column_by_name("image").and_then(|images| images.as_binary_opt::<i64>());
            let (rows, images) = rows.zip(images).ok_or_else(missing)?;
            let image = |i| match images.is_valid(i) {
                true => Bytes::copy_from_slice(images.value(i)),
                false => Bytes::new(),
            };
            self.quarantine_ahead.extend((0..batch.num_rows()).map(|i| (rows.value(i), image(i))));
        }
    }
}
