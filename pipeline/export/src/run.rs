//! An export from its sources to its record.

use super::{
    seen::{Seen, name_of},
    sink::Sink,
    source::Source,
};
use ::parquet::errors::ParquetError;
use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError};
use capfilt_pipeline::input::ReadError;
use capfilt_schemas::export::{Counts, ExportRecord, Format, Origin, RECORD, VERSION};

/// What is exported, and how.
pub struct Export {
    pub sources: Vec<Source>,
    pub format: Format,
    /// Bytes of images in a file of pairs.
    pub file_bytes: u64,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    pub parts_done: usize,
    pub parts: usize,
    pub counts: Counts,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(
        "{url} holds another export ({what}); choose another place, or remove that one's {RECORD} to write over it"
    )]
    Another { url: String, what: String },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot make a Parquet file of the pairs: {0}")]
    Parquet(#[from] ParquetError),
    #[error("cannot make a tar of the pairs: {0}")]
    Tar(std::io::Error),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// The record of a finished export of the same things at this place.
///
/// # Errors
/// When there is a finished export of other things, or the store fails.
pub async fn find(bucket: &Bucket, export: &Export) -> Result<Option<ExportRecord>, ExportError> {
    let Some(bytes) = bucket.read_if_there(RECORD).await? else { return Ok(None) };
    let found: ExportRecord = bucket.parse_record(RECORD, &bytes)?;
    let differing = [
        ("its format", found.version != VERSION || found.format != export.format),
        ("its sources", !found.sources.iter().eq(export.sources.iter().map(|source| &source.record))),
    ];
    match differing.iter().find(|(_, differs)| *differs) {
        Some((what, _)) => Err(ExportError::Another {
            url: bucket.place.url.clone(),
            what: format!("{what} differ from what is asked"),
        }),
        None => Ok(Some(found)),
    }
}

/// Writes all files, and then the record. Equal sources make equal bytes.
///
/// # Errors
/// When a source cannot be read or the store fails; what was written then is written again by the next try.
pub async fn export(
    bucket: &Bucket,
    export: &Export,
    mut report: impl FnMut(Progress),
) -> Result<ExportRecord, ExportError> {
    let mut sink = Sink::new(bucket, export.format, export.file_bytes);
    let mut seen = Seen::default();
    let parts = export.sources.iter().map(Source::parts).sum();
    let mut progress = Progress { parts, ..Progress::default() };
    for source in &export.sources {
        for part in 0..source.parts() {
            let mut reader = source.open(part).await?;
            while let Some(pairs) = reader.next().await? {
                for pair in pairs {
                    take(pair, &mut progress.counts, &mut seen, &mut sink).await?;
                }
                report(progress);
            }
            progress.parts_done += 1;
            report(progress);
        }
    }
    let (files, images) = sink.finish().await?;
    let counts = Counts { images, ..progress.counts };
    let record = ExportRecord {
        version: VERSION,
        capfilt: env!("CARGO_PKG_VERSION").to_owned(),
        format: export.format,
        sources: export.sources.iter().map(|source| source.record.clone()).collect(),
        counts,
        files,
    };
    let bytes = serde_json::to_vec_pretty(&record).expect("the record is plain data");
    bucket.write(RECORD, Bytes::from(bytes)).await?;
    Ok(record)
}

async fn take(
    pair: Option<super::Pair>,
    counts: &mut Counts,
    seen: &mut Seen,
    sink: &mut Sink<'_>,
) -> Result<(), ExportError> {
    counts.read += 1;
    let Some(pair) = pair else {
        counts.unusable += 1;
        return Ok(());
    };
    let image = name_of(&pair.image);
    if !seen.is_new(&pair, &image) {
        counts.duplicates += 1;
        return Ok(());
    }
    match pair.origin {
        Origin::Human => counts.human += 1,
        Origin::Web => counts.web += 1,
        Origin::Synthetic => counts.synthetic += 1,
    }
    sink.add(pair, &image, seen).await
}
