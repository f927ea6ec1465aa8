//! One pass over the ledgers of a job.

use super::{
    columns::{self, Rows},
    counts::{Counts, Reading},
    rule::Rule,
    sample::Place,
    shards::CommittedShard,
};
use crate::ReportError;
use arrow::record_batch::RecordBatch;
use capfilt_pipeline::output::LedgerError;
use capfilt_schemas::{first_lacking, ledger};
use capfilt_store::{Location, PinnedObject};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream},
    errors::ParquetError,
};
use std::{sync::Arc, thread::available_parallelism};

/// Most ledgers that are read at the same time. Memory per ledger: the compressed columns of one row group,
/// [`BATCH_BYTES`], and at most 250 MB of counts, in proportion to its rows.
const MOST_AT_ONCE: usize = 8;

/// Bytes of the decoded columns of one batch, at the average size of the file's rows.
const BATCH_BYTES: u64 = 8 << 20;

/// Reads the ledgers, one per thread, and passes the counts of each shard to `take`, in plan order.
pub(super) async fn each_ledger(
    bucket: &Location,
    shards: &[CommittedShard],
    rule: &Arc<Rule>,
    mut take: impl FnMut(&CommittedShard, Counts),
) -> Result<(), ReportError> {
    let at_once = available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE);
    let read = |(number, shard): (usize, &CommittedShard)| {
        let (bucket, shard, rule) = (bucket.clone(), shard.clone(), Arc::clone(rule));
        tokio::spawn(async move {
            let object = bucket.url_of(&shard.ledger.path);
            let counts = of_ledger(&bucket, &shard, &rule, number as u32).await;
            counts.map_err(|source| LedgerError { object, source })
        })
    };
    let mut counts = stream::iter(shards.iter().enumerate()).map(read).buffered(at_once);
    let mut shards = shards.iter();
    while let (Some(counts), Some(shard)) = (counts.try_next().await?, shards.next()) {
        take(shard, counts?);
    }
    Ok(())
}

/// Place of a row of a shard, by its number in the input file. The shard has the number 0.
pub(crate) async fn place_of(
    bucket: &Location,
    shard: &CommittedShard,
    row: u64,
) -> Result<Option<Place>, ParquetError> {
    let (mut batches, is_version_1) = open(bucket, shard, false).await?;
    let (mut offset, mut pairs) = (0, 0);
    while let Some(batch) = next(&mut batches, is_version_1).await? {
        let rows = rows_of(&batch)?;
        for at in 0..rows.numbers.len() {
            let is_kept = rows.texts_of(at).any(|text| rows.texts.is_kept(text));
            if rows.numbers.value(at) == row {
                return Ok(Some(Place { shard: 0, offset, row, pair: is_kept.then_some(pairs) }));
            }
            offset += 1;
            pairs += u64::from(is_kept);
        }
    }
    Ok(None)
}

async fn of_ledger(
    bucket: &Location,
    shard: &CommittedShard,
    rule: &Rule,
    number: u32,
) -> Result<Counts, ParquetError> {
    let (mut batches, is_version_1) = open(bucket, shard, rule.truths.is_some()).await?;
    let mut reading = Reading::new(rule, &shard.shard.file.path, number);
    while let Some(batch) = next(&mut batches, is_version_1).await? {
        reading.add(&rows_of(&batch)?).map_err(ParquetError::General)?;
    }
    Ok(reading.counts)
}

/// The next batch, in the columns of this version.
async fn next(
    batches: &mut ParquetRecordBatchStream<PinnedObject>,
    is_version_1: bool,
) -> Result<Option<RecordBatch>, ParquetError> {
    match batches.try_next().await? {
        Some(batch) if is_version_1 => columns::upgraded(&batch).map(Some).map_err(ParquetError::General),
        batch => Ok(batch),
    }
}

fn rows_of(batch: &RecordBatch) -> Result<Rows<'_>, ParquetError> {
    Rows::of(batch).ok_or_else(|| ParquetError::General("a column has another type".to_owned()))
}

/// Opens the columns of a ledger; all columns of a ledger of version 1.
async fn open(
    bucket: &Location,
    shard: &CommittedShard,
    with_keys: bool,
) -> Result<(ParquetRecordBatchStream<PinnedObject>, bool), ParquetError> {
    let object = PinnedObject::of_output(bucket, &shard.ledger);
    let mut builder = ParquetRecordBatchStreamBuilder::new(object).await?;
    if let Some(field) = first_lacking(&ledger::schema_of(builder.schema()), builder.schema()) {
        let (name, kind) = (field.name(), field.data_type());
        return Err(ParquetError::General(format!("it has no column `{name}` of type {kind}")));
    }
    let is_version_1 = ledger::is_version_1(builder.schema());
    let projection = columns::projection(builder.parquet_schema(), with_keys);
    let file = builder.metadata();
    let leaves =
        (0..file.file_metadata().schema_descr().num_columns()).filter(|at| projection.leaf_included(*at));
    let size =
        |at: usize| file.row_groups().iter().map(|group| group.column(at).uncompressed_size()).sum::<i64>();
    let bytes = leaves.map(size).sum::<i64>().max(1) as u64;
    let rows = file.file_metadata().num_rows().max(1) as u64;
    let at_once = (BATCH_BYTES.saturating_mul(rows) / bytes).clamp(64, 8192);
    if !is_version_1 {
        builder = builder.with_projection(projection);
    }
    Ok((builder.with_batch_size(at_once as usize).build()?, is_version_1))
}
