//! An export, from its sources to its record.
//!
//! Two parallel phases with receipts for finished work: tasks are read into a scratch folder, then files are
//! written from it. A kill loses one task or one file of each parallel reader or writer.

use super::{
    ExportError,
    arrange::{Arrangement, BucketTotals, buckets_log2},
    digest::Digest,
    export::Export,
    files::{Writing, file_count, metadata},
    gather::gather,
    licences,
    scratch::{Receipt, Scratch},
    source::Source,
    target,
    tasks::{Task, tasks},
};
use capfilt_schemas::export::{self, Counts, ExportRecord};
use capfilt_store::Location;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::Path,
    sync::Arc,
};
use tokio::task::JoinError;

/// Bounds of the number of concurrent readers or writers, which is the number of cores.
const LEAST_AT_ONCE: usize = 2;
const MOST_AT_ONCE: usize = 8;

/// Phase of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The pairs tables are read.
    Reading,
    /// The files are written.
    Writing,
}

/// Progress of an export.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Stage of the export.
    stage: Stage,
    /// Finished steps of the stage.
    pub done: usize,
    /// All steps of the stage.
    pub all: usize,
    /// Pairs that were read, or samples that were written.
    pub pairs: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            Stage::Reading => write!(out, "parts read, {} pairs", self.pairs),
            Stage::Writing => write!(out, "files written, {} samples", self.pairs),
        }
    }
}

/// State shared by readers and writers.
struct Shared {
    export: Export,
    bucket: Location,
    scratch: Scratch,
}

/// Writes all files, and then the record. Equal sources and options give equal bytes. Without pairs, nothing
/// is written and the record is only returned.
///
/// # Errors
/// A source cannot be read, or the store fails; the next run continues from the receipts.
pub async fn export(
    bucket: &Location,
    export: Export,
    scratch: &Path,
    mut report: impl FnMut(Progress),
) -> Result<ExportRecord, ExportError> {
    let request = export.request();
    let bytes = serde_json::to_vec(&request).expect("the request is plain data");
    // The folder's lock is first: another process may be writing.
    let scratch = Scratch::open(scratch, &bytes)?;
    target::begin(bucket, &request).await?;
    target::tidy(bucket)?;
    let shared = Arc::new(Shared { export, bucket: bucket.clone(), scratch });
    let arranged = Arc::new(read(&shared, &mut report).await?);
    let totals = count(&shared, &arranged).await?;
    target::remove_images(bucket, totals.iter().flat_map(|bucket| &bucket.unused_images)).await?;
    let mut counts = arranged.counts();
    totals.iter().for_each(|bucket| counts.merge(&bucket.counts));
    counts.images =
        totals.iter().flat_map(|bucket| &bucket.images).collect::<HashSet<&Digest>>().len() as u64;
    if !counts.balance() {
        return Err(ExportError::UnbalancedCounts(counts));
    }
    let (left_out, kinds) = (arranged.left_out.clone(), arranged.kinds.clone());
    let entries = shared.export.exclusions.entries();
    let licences = licences(&shared.export, &totals)?;
    let unmatched_exclusions = (entries > 0).then(|| entries - arranged.matched_exclusions);
    let files = if counts.samples == 0 {
        Vec::new()
    } else {
        write(&shared, arranged, &totals, counts, &mut report).await?
    };
    let capfilt = env!("CARGO_PKG_VERSION").to_owned();
    let record = ExportRecord { request, capfilt, counts, files, unmatched_exclusions, licences, left_out };
    match record.files.is_empty() {
        true => target::forget(bucket).await?,
        false => target::end(bucket, &record, &kinds).await?,
    }
    if let Some(shared) = Arc::into_inner(shared) {
        shared.scratch.remove()?;
    }
    Ok(record)
}

/// Samples of each licence.
fn licences(export: &Export, totals: &[BucketTotals]) -> Result<BTreeMap<String, u64>, ExportError> {
    let mut all = BTreeMap::new();
    if let Some(column) = &export.options.licence_column {
        totals.iter().try_for_each(|bucket| licences::merge(&mut all, column, &bucket.licences))?;
    }
    Ok(all)
}

/// Removes the scratch data of a finished export, if a kill after its record left it.
///
/// # Errors
/// The store or the folder refuses.
pub async fn clean(bucket: &Location, scratch: &Path) -> Result<(), ExportError> {
    target::forget(bucket).await?;
    if scratch.exists() { Scratch::open(scratch, &[])?.remove() } else { Ok(()) }
}

/// Number of concurrent readers or writers.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(LEAST_AT_ONCE, usize::from).clamp(LEAST_AT_ONCE, MOST_AT_ONCE)
}

fn ended(error: &JoinError) -> ExportError {
    ExportError::Ended(error.to_string())
}

async fn read(shared: &Arc<Shared>, report: &mut impl FnMut(Progress)) -> Result<Arrangement, ExportError> {
    let tasks = tasks(&shared.export.sources);
    let texts = shared.export.sources.iter().flat_map(Source::parts).map(|part| part.texts).sum();
    let log2 = buckets_log2(&shared.export.options, texts);
    let mut progress = Progress { stage: Stage::Reading, done: 0, all: tasks.len(), pairs: 0 };
    let mut receipts: Vec<Receipt> = vec![Receipt::default(); tasks.len()];
    let reads = stream::iter(tasks.into_iter().enumerate()).map(|(number, task)| {
        let shared = Arc::clone(shared);
        async move {
            let read = tokio::spawn(async move { read_task(&shared, number, &task, log2).await });
            Ok::<_, ExportError>((number, read.await.map_err(|error| ended(&error))??))
        }
    });
    let mut reads = std::pin::pin!(reads.buffer_unordered(at_once()));
    while let Some((number, receipt)) = reads.try_next().await? {
        progress.done += 1;
        progress.pairs += receipt.counts.read;
        receipts[number] = receipt;
        report(progress);
    }
    Arrangement::new(&shared.scratch, &shared.export.options, receipts, log2)
}

async fn read_task(shared: &Shared, number: usize, task: &Task, log2: u32) -> Result<Receipt, ExportError> {
    match shared.scratch.receipt(number)? {
        Some(receipt) => Ok(receipt),
        None => gather(&shared.export, &shared.bucket, &shared.scratch, number, task, log2).await,
    }
}

/// Totals of each bucket, in order.
async fn count(shared: &Arc<Shared>, arranged: &Arc<Arrangement>) -> Result<Vec<BucketTotals>, ExportError> {
    let counts = stream::iter(0..arranged.buckets()).map(|bucket| {
        let (shared, arranged) = (Arc::clone(shared), Arc::clone(arranged));
        async move {
            let count = move || arranged.totals(&shared.scratch, bucket, shared.export.format);
            tokio::task::spawn_blocking(count).await.map_err(|error| ended(&error))?
        }
    });
    counts.buffered(at_once()).try_collect().await
}

async fn write(
    shared: &Arc<Shared>,
    arranged: Arc<Arrangement>,
    totals: &[BucketTotals],
    counts: Counts,
    report: &mut impl FnMut(Progress),
) -> Result<Vec<export::File>, ExportError> {
    let image_bytes = totals.iter().map(|bucket| bucket.image_bytes).sum();
    let all = file_count(shared.export.format, &shared.export.options, counts.samples, image_bytes);
    let writing = Arc::new(Writing::new(arranged, totals, counts.samples, all));
    let mut progress = Progress { stage: Stage::Writing, done: 0, all, pairs: 0 };
    let mut files: Vec<Option<export::File>> = vec![None; all];
    let writes = stream::iter(0..all).map(|number| {
        let (shared, writing) = (Arc::clone(shared), Arc::clone(&writing));
        async move {
            let write = tokio::spawn(async move { write_file(&shared, &writing, number).await });
            Ok::<_, ExportError>((number, write.await.map_err(|error| ended(&error))??))
        }
    });
    let mut writes = std::pin::pin!(writes.buffer_unordered(at_once()));
    while let Some((number, file)) = writes.try_next().await? {
        progress.done += 1;
        progress.pairs += file.pairs;
        files[number] = Some(file);
        report(progress);
    }
    let files: Vec<export::File> = files.into_iter().flatten().collect();
    for (path, bytes) in metadata(shared.export.format, &writing.arranged.kinds, &files) {
        shared.bucket.write(&path, bytes.into()).await?;
    }
    Ok(files)
}

/// Writes a file, unless an earlier run wrote it and it is still stored.
async fn write_file(shared: &Shared, writing: &Writing, number: usize) -> Result<export::File, ExportError> {
    if let Some(file) = shared.scratch.file_receipt(number)?
        && shared.bucket.head(&file.path).await?.is_some_and(|meta| meta.size == file.bytes)
    {
        return Ok(file);
    }
    let file = writing.file(&shared.export, &shared.bucket, &shared.scratch, number).await?;
    shared.scratch.put_file_receipt(number, &file)?;
    Ok(file)
}
