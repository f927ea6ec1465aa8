//! Errors of an export.

use arrow::error::ArrowError;
use capfilt_pipeline::input::ReadError;
use capfilt_schemas::export::Counts;
use capfilt_store::StoreError;
use parquet::errors::ParquetError;
use std::path::PathBuf;

/// Reason why an export failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum ExportError {
    #[error("{url} holds another export ({what}); choose another --to, or remove that folder first")]
    Another { url: String, what: String },
    #[error(
        "{url} holds files that are not of this export ({names}); trainers would read them with it: choose \
        another \
         --to, or remove them"
    )]
    Strange { url: String, names: String },
    #[error("{option} applies to lists only: add --format {formats}, or leave it out")]
    OtherFormat { option: &'static str, formats: &'static str },
    #[error("cannot read instructions from {}: {why}", .file.display())]
    Prompts { file: PathBuf, why: String },
    #[error("another process writes this export (it holds {}); wait for it, or stop it", .lock.display())]
    Busy { lock: PathBuf },
    #[error("no file of {url} has the column `{column}` ({option}); there are {columns}")]
    NoColumn { url: String, column: String, option: &'static str, columns: String },
    #[error("cannot {what} {}: {source}; --scratch names another folder for it", .path.display())]
    Scratch { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "{}: line {line} is not what this export wrote: {source}; remove the folder and export again",
        .path.display()
    )]
    Entry { path: PathBuf, line: usize, source: serde_json::Error },
    #[error(
        "cannot read the exclusion list {}: {why}; a list is a text file in UTF-8 with one entry per line (a \
         URL, the key of a row, or the SHA-256 of an image in 64 hexadecimal digits), or a table in Parquet, \
         .csv or .tsv with at least one of the columns url, key and sha256",
        .path.display()
    )]
    ExclusionList { path: PathBuf, why: String },
    #[error(
        "{path} would have {bytes} bytes, and a shard of MosaicML Streaming has less than 4 GiB: lower \
         --file-mib, or raise --files"
    )]
    LargeShard { path: String, bytes: u64 },
    #[error(
        "{url} has no pass-through column `{column}` (--licence-column); a job has the columns of its \
         input.passthrough"
    )]
    NoLicences { url: String, column: String },
    #[error(
        "column `{column}` (--licence-column) has more than {most} values; name the column with licences"
    )]
    ManyLicences { column: String, most: usize },
    #[error("the export's counts do not balance ({0:?}); this is an internal error (bug)")]
    UnbalancedCounts(Counts),
    #[error("a writer of the export ended early: {0}")]
    Ended(String),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write {object}: {source}")]
    Write { object: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(transparent)]
    Location(#[from] StoreError),
}

impl ExportError {
    /// Whether the request is wrong, and not the store, the sources or the disk.
    pub fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::Another { .. }
                | Self::Strange { .. }
                | Self::OtherFormat { .. }
                | Self::Prompts { .. }
                | Self::NoColumn { .. }
                | Self::ExclusionList { .. }
                | Self::NoLicences { .. }
                | Self::ManyLicences { .. }
                | Self::LargeShard { .. }
        )
    }

    pub(crate) fn write(object: &str) -> impl Fn(object_store::Error) -> Self + use<> {
        let object = object.to_owned();
        move |source| Self::Write { object: object.clone(), source: Box::new(source) }
    }

    pub(crate) fn parquet(object: &str, source: ParquetError) -> Self {
        Self::Write { object: object.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn arrow(object: &str, source: ArrowError) -> Self {
        Self::Write { object: object.to_owned(), source: Box::new(source) }
    }
}
