//! Rows as the reader returns them, before preparation.

use arrow::array::RecordBatch;
use bytes::Bytes;
use capfilt_links::Link;
use std::sync::Arc;

/// One input row.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Number of the row within its file.
    pub row: u64,
    /// The input's key of the row, as text.
    pub key: Option<String>,
    /// Name of the image inside its file or at its origin; `None` if the row number is its only address.
    pub member: Option<String>,
    /// The image.
    pub image: ImageInput,
    /// The texts, by text column; a column without a text has one entry.
    pub texts: Vec<SourceText>,
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
    /// The row has a link that is not yet fetched.
    Link(Link),
    /// The row has a link, and its host did not answer with an image.
    Unreachable(String),
    /// The row has a link that the settings do not allow.
    Refused(String),
    /// The row has a link, and the fetched bytes have another digest than the row has.
    Changed(String),
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
    /// An object or a link that the row names.
    Object {
        /// Path below the input's URL, or the link.
        path: String,
    },
}

/// A text of an input row and its source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceText {
    /// Name of the text column.
    pub source: Arc<str>,
    /// The text.
    pub text: TextInput,
}

impl Sample {
    /// The first text that is UTF-8, for readers of one text per row.
    pub fn text(&self) -> Option<&str> {
        self.texts.iter().find_map(|text| text.text.as_text())
    }
}

/// One text of an input row.
#[derive(Debug, Clone, PartialEq)]
pub enum TextInput {
    /// The row has no text: null, an empty list, or no text column.
    Missing,
    /// The text, unchanged.
    Text(String),
    /// Bytes that are not UTF-8.
    NotUtf8(Bytes),
    /// The list has more texts than the limit; its further texts are not read.
    TooMany,
}

impl TextInput {
    /// The text; `None` without a text or for bytes that are not UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::NotUtf8(_) | Self::TooMany => None,
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
