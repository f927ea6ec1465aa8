//! Part of an input file that a shard covers, and formats of input files.

use serde::{Deserialize, Serialize};
use std::{fmt, ops::Range};

/// Part of a file, in the unit in which the file's format is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Row groups of a Parquet file.
    RowGroups(Range<u32>),
    /// Bytes of a tar, from a sample's first header to another sample's.
    Bytes(Range<u64>),
    /// Rows of a file that is read as a whole.
    Rows(Range<u64>),
}

impl Part {
    /// Name of the unit, in the plan's table.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::RowGroups(_) => "row_groups",
            Self::Bytes(_) => "bytes",
            Self::Rows(_) => "rows",
        }
    }

    /// Begin and end of the part, in its unit.
    pub fn range(&self) -> Range<u64> {
        match self {
            Self::RowGroups(range) => range.start.into()..range.end.into(),
            Self::Bytes(range) | Self::Rows(range) => range.clone(),
        }
    }

    /// The part with this unit and range; `None` for an unknown unit or a row group number over 32 bits.
    pub fn new(unit: &str, range: Range<u64>) -> Option<Self> {
        match unit {
            "row_groups" => {
                let (start, end) = (range.start.try_into().ok()?, range.end.try_into().ok()?);
                Some(Self::RowGroups(start..end))
            }
            "bytes" => Some(Self::Bytes(range)),
            "rows" => Some(Self::Rows(range)),
            _ => None,
        }
    }

    /// The part from the beginning of `self` to the end of `last`, which has the same unit.
    pub fn to(&self, last: &Self) -> Self {
        match (self, last) {
            (Self::RowGroups(first), Self::RowGroups(last)) => Self::RowGroups(first.start..last.end),
            (Self::Bytes(first), last) => Self::Bytes(first.start..last.range().end),
            (first, last) => Self::Rows(first.range().start..last.range().end),
        }
    }

    /// The row groups; empty for other units.
    pub fn row_groups(&self) -> Range<u32> {
        match self {
            Self::RowGroups(range) => range.clone(),
            Self::Bytes(_) | Self::Rows(_) => 0..0,
        }
    }

    /// Text that the id of a shard covers. Row groups have no unit in it, as in version 1 of the plan.
    pub(super) fn in_id(&self) -> String {
        let Range { start, end } = self.range();
        match self {
            Self::RowGroups(_) => format!("{start}..{end}"),
            Self::Bytes(_) | Self::Rows(_) => format!("{} {start}..{end}", self.unit()),
        }
    }
}

/// Text for people.
impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range();
        write!(out, "{} {start} to {end}", self.unit().replace('_', " "))
    }
}

/// Format of an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// Apache Parquet: `.parquet`.
    Parquet,
    /// WebDataset tar: `.tar`.
    Tar,
    /// WebDataset tar, compressed with gzip: `.tar.gz`, `.tgz`.
    TarGz,
}

impl InputFormat {
    /// Format of a file whose name ends like an input file; `None` for any other name.
    pub fn by_name(path: &str) -> Option<Self> {
        let formats = [
            (".parquet", Self::Parquet),
            (".tar", Self::Tar),
            (".tar.gz", Self::TarGz),
            (".tgz", Self::TarGz),
        ];
        formats.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, format)| format)
    }

    /// Format in which a planned file is read. The file that `input.url` itself names may have any name, and
    /// is read as Parquet.
    pub fn of(path: &str) -> Self {
        Self::by_name(path).unwrap_or(Self::Parquet)
    }
}
