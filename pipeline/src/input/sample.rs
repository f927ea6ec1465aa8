//! Rows as they were read, before anything is decided about them.

use arrow::array::RecordBatch;
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

/// Some consecutive rows and, row for row, what they take in memory and their pass-through columns.
#[derive(Debug)]
pub struct Rows {
    pub samples: Vec<Sample>,
    pub bytes: Vec<u64>,
    pub passthrough: RecordBatch,
}
