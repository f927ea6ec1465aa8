//! Judges committed rows again: does this machine, with the job's models, compute the ledger's numbers?
//!
//! Digests prove that a ledger is unchanged since it was written; only this comparison proves that it was
//! computed correctly. It takes the first batches of shards, cut as in the job, so the same build on the same
//! kind of machine must give equal bits.

use crate::{
    batcher::Batcher,
    decoders::{Decoders, time_limit},
    flow::PreparedRows,
    recorded_captions::captions_of,
    skip_list::{SkipList, named},
    worker::{StartError, linked_columns, prepare_spec},
};
use arrow::error::ArrowError;
use capfilt_pipeline::{
    capfilt::CapFilt,
    input::{READING_BYTES, ReadError, Rows, ShardReader},
    model::ModelError,
    output::{LedgerError, read_ledger},
    self_test::Tolerance,
};
use capfilt_schemas::{
    commit::Output,
    ledger::LedgerRow,
    plan::Shard,
    settings::{Precision, Settings},
    texts::{LedgerText, Scored},
};
use capfilt_store::Location;
use serde::Serialize;
use std::fmt;

/// Reason why rows could not be judged again.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum RecomputeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the input cannot be read again: {0}")]
    Input(#[from] ReadError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the pass-through columns cannot be joined: {0}")]
    Arrow(#[from] ArrowError),
}

/// Agreement of the ledger and the second computation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Rows that were computed again.
    pub rows: u64,
    /// Rows that are equal to the last bit.
    pub equal_rows: u64,
    /// Rows whose address, image, status or texts of the input differ. Such a difference is always a fault.
    pub other_rows: u64,
    /// Rows whose links no longer lead to the judged image; they are not compared.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed_links: u64,
    /// Captions that differ. Another batch size, device or build may change a random choice.
    pub other_captions: u64,
    /// Captions that were computed again.
    pub captions: u64,
    /// Verdicts that differ on equal texts.
    pub other_verdicts: u64,
    /// Largest difference of P(match) of equal texts, including the negative control's.
    pub max_match_difference: f32,
    /// Largest difference of the cosine of equal texts.
    pub max_cosine_difference: f32,
    /// Largest difference of the CLIP score of equal texts, including the negative control's, in a job with
    /// CLIP scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_clip_difference: Option<f32>,
}

/// Text for people.
impl fmt::Display for Agreement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} rows judged again: {} equal to the last bit; {} of {} captions and {} verdicts differ; \
             P(match) within {:.1e}, cosine within {:.1e}",
            self.rows,
            self.equal_rows,
            self.other_captions,
            self.captions,
            self.other_verdicts,
            self.max_match_difference,
            self.max_cosine_difference
        )?;
        if let Some(clip) = self.max_clip_difference {
            write!(out, ", CLIP score within {clip:.1e}")?;
        }
        match self.changed_links {
            0 => Ok(()),
            changed => write!(out, "; {changed} links lead to another image or to none"),
        }
    }
}

/// Inputs for judging a job's rows again.
pub struct Recompute<'a> {
    /// Location of the job.
    pub bucket: &'a Location,
    /// Location of the input.
    pub input: &'a Location,
    /// The job's frozen settings.
    pub settings: &'a Settings,
    /// Models and thresholds of the job.
    pub capfilt: CapFilt,
}

impl Recompute<'_> {
    /// Judges about `wanted` rows again: the first rows of shards that are spread evenly over the committed
    /// shards. `progress` receives the finished and all shards.
    ///
    /// # Errors
    /// An input or ledger that cannot be read, and a failing model.
    pub async fn rows(
        &mut self,
        committed: &[(&Shard, Option<Output>)],
        wanted: u64,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Agreement, RecomputeError> {
        let all = committed.len() as u64;
        // Whole batches: one per shard, or several per shard if there are not enough shards.
        let shards = wanted.div_ceil(self.capfilt.batch() as u64).clamp(1, all.max(1));
        let rows_per_shard = wanted.div_ceil(shards) as usize;
        let mut agreement = Agreement::default();
        for i in 0..shards.min(all) {
            let (shard, ledger) = &committed[(i * all / shards) as usize];
            if let Some(ledger) = ledger {
                self.shard(shard, ledger, rows_per_shard, &mut agreement).await?;
            }
            progress(i + 1, shards);
        }
        Ok(agreement)
    }

    /// Judges the first rows of a shard again, at least `rows_per_shard` of them or all, and adds the
    /// comparison with the committed ledger to `agreement`.
    pub async fn shard(
        &mut self,
        shard: &Shard,
        ledger: &Output,
        rows_per_shard: usize,
        agreement: &mut Agreement,
    ) -> Result<(), RecomputeError> {
        let spec = prepare_spec(self.settings, &self.capfilt);
        let (columns, batch) = (linked_columns(self.settings, READING_BYTES)?, self.capfilt.batch());
        let sources = columns.texts.clone();
        let mut reader = ShardReader::open(self.input, shard, columns, batch).await?;
        let committed = read_ledger(self.bucket, ledger, ledger.rows as usize).await?;
        let committed: Vec<LedgerRow> = committed.into_iter().map(|row| named(row, &sources)).collect();
        if self.settings.captioner.endpoint.is_some() {
            self.capfilt.set_captions(captions_of(&committed));
        }
        let skip_list = SkipList::by_ledger(&committed);
        let limit = time_limit(&self.settings.limits);
        let mut decoders = Decoders::new(rayon::current_num_threads());
        let mut prepare = |rows: Rows| {
            let prepared = decoders.prepare_all(rows.samples, &spec, &skip_list, limit);
            PreparedRows {
                rows: prepared,
                bytes: rows.bytes,
                passthrough: rows.passthrough,
                held: Vec::new(),
            }
        };
        let mut batcher = Batcher::default();
        let mut judged = Vec::new();
        while judged.len() < rows_per_shard {
            let Some(next) = next_batch(&mut reader, &mut batcher, &mut prepare, batch).await? else { break };
            judged.extend(self.capfilt.judge(&shard.file.path, &next.rows)?);
        }
        let is_linked = self.settings.links.fetch;
        judged.iter().enumerate().for_each(|(i, row)| agreement.add(row, committed.get(i), is_linked));
        Ok(())
    }
}

/// The next full batch, or the remaining rows at the end of the shard.
async fn next_batch(
    reader: &mut ShardReader,
    batcher: &mut Batcher,
    prepare: &mut impl FnMut(Rows) -> PreparedRows,
    batch: usize,
) -> Result<Option<PreparedRows>, RecomputeError> {
    loop {
        if let Some(full) = batcher.full(batch)? {
            return Ok(Some(full));
        }
        match reader.next().await? {
            Some(rows) => batcher.push(prepare(rows)),
            None => return Ok(batcher.rest()?),
        }
    }
}

impl Agreement {
    /// Difference that exceeds the rounding differences between two devices.
    pub fn fault(&self, precision: Precision) -> Option<String> {
        if self.other_rows > 0 {
            Some(format!("{} rows differ from the input in image, status or text", self.other_rows))
        } else if self.max_match_difference > Tolerance::between_two(precision).score {
            Some(format!("P(match) of equal texts differs by {:.1e}", self.max_match_difference))
        } else if self.other_captions * 10 > self.captions {
            Some(format!("{} of {} captions differ", self.other_captions, self.captions))
        } else {
            None
        }
    }

    fn add(&mut self, again: &LedgerRow, committed: Option<&LedgerRow>, is_linked: bool) {
        self.rows += 1;
        if is_linked && committed.is_some_and(|committed| committed.image_sha256 != again.image_sha256) {
            self.changed_links += 1;
            return;
        }
        self.captions += again.captions().count() as u64;
        let Some(committed) = committed.filter(|committed| is_same_row(again, committed)) else {
            self.other_rows += 1;
            return;
        };
        self.equal_rows += u64::from(is_equal(again, committed));
        for (text, other) in again.texts.iter().zip(&committed.texts) {
            if text.text == other.text {
                self.compare(text.scored, other.scored);
            } else {
                self.other_captions += 1;
            }
        }
        if let (Some(a), Some(b)) = (again.control_itm, committed.control_itm) {
            self.max_match_difference = self.max_match_difference.max(gap(a, b));
        }
        self.compare_clip(again.control_clip, committed.control_clip);
    }

    fn compare_clip(&mut self, a: Option<f32>, b: Option<f32>) {
        if let (Some(a), Some(b)) = (a, b) {
            let most = self.max_clip_difference.unwrap_or_default();
            self.max_clip_difference = Some(most.max(gap(a, b)));
        }
    }

    fn compare(&mut self, a: Option<Scored>, b: Option<Scored>) {
        match (a, b) {
            (Some(a), Some(b)) => {
                self.other_verdicts += u64::from(a.kept != b.kept);
                self.max_match_difference = self.max_match_difference.max(gap(a.itm, b.itm));
                self.max_cosine_difference = self.max_cosine_difference.max(gap(a.itc, b.itc));
                self.compare_clip(a.clip, b.clip);
            }
            (None, None) => {}
            _ => self.other_verdicts += 1,
        }
    }
}

/// Whether the fields that no model computes are equal. The sources of all texts are compared, so the number
/// of captions is equal too.
fn is_same_row(a: &LedgerRow, b: &LedgerRow) -> bool {
    let address = |row: &LedgerRow| (row.key.clone(), row.file.clone(), row.row, row.image_sha256);
    let finding = |row: &LedgerRow| (row.status, row.width, row.height);
    let sources = |row: &LedgerRow| row.texts.iter().map(|text| text.source.clone()).collect::<Vec<_>>();
    let input = |text: &LedgerText| (text.text.clone(), text.status);
    address(a) == address(b)
        && finding(a) == finding(b)
        && sources(a) == sources(b)
        && a.inputs().map(input).eq(b.inputs().map(input))
}

/// Whether all fields are equal, except those that a ledger of version 1 does not have.
fn is_equal(again: &LedgerRow, committed: &LedgerRow) -> bool {
    let text = |text: &LedgerText| (text.text.clone(), text.scored);
    let bits = |row: &LedgerRow| (row.control_itm, row.control_clip, row.detail.clone(), row.image_hash);
    let hash = committed.image_hash.and(again.image_hash);
    bits(&LedgerRow { image_hash: hash, ..again.clone() }) == bits(committed)
        && again.texts.iter().map(text).eq(committed.texts.iter().map(text))
}

/// Whether a count is not written.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Distance of two scores; infinite if one is NaN.
fn gap(a: f32, b: f32) -> f32 {
    let distance = (a - b).abs();
    if distance.is_nan() { f32::INFINITY } else { distance }
}
