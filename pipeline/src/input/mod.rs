//! From Parquet to samples: the shard's row groups, the columns the job names, the rows its condition selects.

mod bounds;
mod columns;
mod control;
mod file;
mod images;
mod notes;
mod ordering;
mod pairs;
mod parts;
mod piece;
mod reader;
mod restore;
mod row_group;
mod selection;
mod sizing;
mod source;
mod views;

pub use columns::ColumnError;
pub use images::fetch_named_image;
pub use pairs::{CleanedRow, CleanedRows, KeptText, PairsReader};
pub use reader::{InputColumns, READING_BYTES, ReadError, Rows, ShardReader};

use bytes::Bytes;

/// One input row, before anything was decided about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Number of the row within its file.
    pub row: u64,
    pub key: Option<String>,
    pub image: ImageInput,
    pub text: TextInput,
    /// Whether the row satisfies the input's `where`.
    pub selected: bool,
    /// A text of another row of the same row group, which random agreement is measured with.
    pub control: Option<String>,
    /// What of the row could not be read and counts as null, in words; the ledger's `detail` says it.
    pub note: Option<String>,
}

/// The image as the input has it.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageInput {
    Missing,
    Bytes {
        bytes: Bytes,
        origin: Origin,
    },
    /// The row names an object that could not be read.
    Unreadable(String),
    /// More bytes than the limit, in the row or in an object it names: they are not carried along.
    TooLarge(String),
}

/// Where an image's bytes were read.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// In the row itself; the path is what it says of them, often a file that is nowhere.
    Row { path: Option<String> },
    /// In an object that the row names.
    Object { path: String },
}

/// The text as the input has it.
#[derive(Debug, Clone, PartialEq)]
pub enum TextInput {
    Missing,
    Text(String),
    NotUtf8(Bytes),
}

impl TextInput {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::NotUtf8(_) => None,
        }
    }

    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::NotUtf8(_) => None,
        }
    }
}
