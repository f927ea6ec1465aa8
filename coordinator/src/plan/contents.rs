//! Contents of one input file, as far as a plan needs them; the same for every format.

use super::PlanError;
use arrow::datatypes::Schema;
use capfilt_schemas::plan::{InputFile, Part};
use capfilt_store::{FaultKind, StoreError};

/// Reason why a file of no bytes is refused.
pub const EMPTY: &str = "the file is empty (0 bytes): was its writer interrupted?";

/// Columns and units of a file.
#[derive(Debug)]
pub struct Contents {
    pub schema: Schema,
    /// Names of columns that cannot be read because they are encrypted.
    pub encrypted: Vec<String>,
    /// The file from its beginning to its end.
    pub units: Vec<Unit>,
    /// Whether the rows of the units were counted; otherwise they are estimates.
    pub rows_exact: bool,
    /// Sentences about the file for the user; none of them stops a job.
    pub warnings: Vec<String>,
}

/// Numbers of rows that are known before a file is read.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Rows of a shard, as the settings ask.
    pub wanted: u64,
    /// Entry of the file in a list of shards.
    pub listed: Option<Listed>,
}

/// Entry of a file in a list of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Number of samples.
    pub rows: u64,
    /// Size of the file when it was listed, if the list has it. An entry for another size is not of the file
    /// as it is now.
    pub bytes: Option<u64>,
}

/// Part of a file that a plan does not cut: in Parquet, a row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub part: Part,
    pub rows: u64,
    /// Bytes in the file.
    pub bytes: u64,
}

/// Sorts the result of looking into a file: the inner error refuses the file, and the outer one is a failure
/// of the store or a change of the file, from which nothing follows about it.
pub fn of_file<T>(
    file: &InputFile,
    found: Result<Result<T, String>, StoreError>,
) -> Result<Result<T, String>, PlanError> {
    match found {
        Ok(found) => Ok(found),
        Err(error) if error.is_changed() || error.is_not_found() => {
            Err(PlanError::Moving { path: file.path.clone(), why: error.to_string() })
        }
        // The store works and refuses this file alone: other files may be readable.
        Err(error) if is_of_the_file(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Whether the store refuses only this object: it is archived, or these credentials (for a local file, this
/// user) may not read it.
fn is_of_the_file(error: &StoreError) -> bool {
    let of_store = matches!(error.kind(), Some(FaultKind::Archived | FaultKind::Forbidden | FaultKind::Name));
    of_store || error.io_kind() == Some(std::io::ErrorKind::PermissionDenied)
}
