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
    /// Table of records that name images: JSON Lines or CSV.
    Records(RecordFormat),
    /// Folder of images with texts beside them; its path ends with a slash.
    ImageFolder,
}

/// Format of a table of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFormat {
    /// A JSON object per line: `.jsonl`.
    JsonLines,
    /// Comma-separated values with a header: `.csv`.
    Csv,
}

impl RecordFormat {
    /// Byte between the values of a format whose files begin with a header; `None` for JSON Lines.
    pub fn separator(self) -> Option<u8> {
        match self {
            Self::JsonLines => None,
            Self::Csv => Some(b','),
        }
    }
}

/// Ends of the names of input files, for people.
pub const INPUT_NAMES: &str = "`.parquet`, `.tar`, `.tar.gz`, `.tgz`, `.jsonl` or `.csv`";

/// Ends of names and their formats. `metadata.jsonl` and `metadata.csv` are the names that the `imagefolder`
/// of Hugging Face's datasets reads.
const LISTED: [(&str, InputFormat); 4] = [
    (".parquet", InputFormat::Parquet),
    (".tar", InputFormat::Tar),
    (".tar.gz", InputFormat::TarGz),
    (".tgz", InputFormat::TarGz),
];

const RECORDS: [(&str, InputFormat); 2] = [
    (".jsonl", InputFormat::Records(RecordFormat::JsonLines)),
    (".csv", InputFormat::Records(RecordFormat::Csv)),
];

/// Ends of the names of images in an image folder, in lower case; of two images with one name, the earlier
/// end counts.
pub const IMAGE_SUFFIXES: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

impl InputFormat {
    /// Name of the format, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Tar => "WebDataset tar",
            Self::TarGz => "compressed WebDataset tar",
            Self::Records(RecordFormat::JsonLines) => "JSON Lines",
            Self::Records(RecordFormat::Csv) => "CSV",
            Self::ImageFolder => "image folder",
        }
    }

    /// Format of a listed file that belongs to an input; `None` for any other name. Of JSON Lines and CSV
    /// only `metadata.jsonl` and `metadata.csv` belong to an input, because many folders have others.
    pub fn by_name(path: &str) -> Option<Self> {
        let format = |formats: &[(&str, Self)]| {
            formats.iter().find(|(end, _)| path.ends_with(end)).map(|(_, format)| *format)
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        format(&LISTED).or_else(|| format(&RECORDS).filter(|_| name.starts_with("metadata.")))
    }

    /// Format in which a planned file is read. The file that `input.url` itself names may have any name, and
    /// is read as Parquet unless its name ends otherwise.
    pub fn of(path: &str) -> Self {
        let records = RECORDS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, format)| *format);
        let folder = path.ends_with('/').then_some(Self::ImageFolder);
        folder.or(Self::by_name(path)).or(records).unwrap_or(Self::Parquet)
    }

    /// Whether a file in an image folder is an image, by its name.
    pub fn is_image(path: &str) -> bool {
        image_rank(path).is_some()
    }
}

/// Position of a name's end in [`IMAGE_SUFFIXES`]; `None` if the name is not that of an image.
pub fn image_rank(path: &str) -> Option<usize> {
    let (_, suffix) = path.rsplit_once('.')?;
    IMAGE_SUFFIXES.iter().position(|image| suffix.eq_ignore_ascii_case(image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_an_input_by_its_end_and_tables_of_records_by_their_whole_name() {
        let metadata = InputFormat::Records(RecordFormat::JsonLines);
        assert_eq!(InputFormat::by_name("a/metadata.jsonl"), Some(metadata));
        for other in ["a/train.jsonl", "a.csv", "a/", "xmetadata.csv", "a.jpg"] {
            assert_eq!(InputFormat::by_name(other), None, "{other}");
        }
        assert_eq!(InputFormat::of("a/train.jsonl"), metadata);
        assert_eq!(InputFormat::of("a/"), InputFormat::ImageFolder);
        assert_eq!(InputFormat::of("table"), InputFormat::Parquet);
        assert!(InputFormat::is_image("a/b.JPG") && !InputFormat::is_image("jpg"));
    }
}
