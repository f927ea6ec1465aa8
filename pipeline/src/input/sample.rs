//! Rows as the reader returns them, before preparation.

use arrow::array::RecordBatch;
use bytes::Bytes;

/// One input row.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Number of the row within its file.
    pub row: u64,
    pub key: Option<String>,
    pub image: ImageInput,
    pub text: TextInput,
    /// Whether the row satisfies the input's `where`.
    pub selected: bool,
    /// A text of another row of the same row group: the negative control.
    pub control: Option<String>,
    /// Note about values of the row that could not be read and count as null, for the ledger's `detail`.
    pub note: Option<String>,
}

/// The image of an input row.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageInput {
    Missing,
    Bytes {
        bytes: Bytes,
        origin: Origin,
    },
    /// The row names an object that could not be read.
    Unreadable(String),
    /// An image over the size limit, in the row or in an object that the row names; its bytes are not read.
    TooLarge(String),
}

/// Origin of an image's bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// The row; `path` is the file name that the row has, often of a file that does not exist.
    Row { path: Option<String> },
    /// An object that the row names.
    Object { path: String },
}

/// The text of an input row.
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

/// Consecutive rows and, row for row, their bytes in memory and their pass-through columns.
#[derive(Debug)]
pub struct Rows {
    pub samples: Vec<Sample>,
    pub bytes: Vec<u64>,
    pub passthrough: RecordBatch,
}
