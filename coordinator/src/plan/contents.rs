//! Contents of one input file, as far as a plan needs them; the same for every format.

use arrow::datatypes::Schema;
use capfilt_schemas::plan::Part;

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

/// Part of a file that a plan does not cut: in Parquet, a row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub part: Part,
    pub rows: u64,
    /// Bytes in the file.
    pub bytes: u64,
}
