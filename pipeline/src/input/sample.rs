//! Rows as the reader returns them, before preparation.

use arrow::array::RecordBatch;
use bytes::Bytes;

/// One input row.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Number of the row within its file.
    pub row: u64,
    /// The input's key of the row, as text.
    pub key: Option<String>,
    /// The image.
    pub image: ImageInput,
    /// The web text.
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
    /// The row has no image: null, or no bytes.
    Missing,
    /// The encoded image.
    Bytes {
        /// The bytes, unchanged.
        bytes: Bytes,
        /// Origin of the bytes.
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
    Row {
        /// File name.
        path: Option<String>,
    },
    /// An object that the row names.
    Object {
        /// Path below the input's URL.
        path: String,
    },
}

/// The text of an input row.
#[derive(Debug, Clone, PartialEq)]
pub enum TextInput {
    /// The row has no text: null, or no text column.
    Missing,
    /// The text, unchanged.
    Text(String),
    /// Bytes that are not UTF-8.
    NotUtf8(Bytes),
}

impl TextInput {
    /// The text; `None` without a text or for bytes that are not UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::NotUtf8(_) => None,
        }
    }

    /// As [`as_text`](Self::as_text), without a copy.
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
    /// The rows.
    pub samples: Vec<Sample>,
    /// Bytes of memory of each row.
    pub bytes: Vec<u64>,
    /// The pass-through columns.
    pub passthrough: RecordBatch,
}
