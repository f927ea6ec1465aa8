//! Writer of WebDataset tars: the members of a sample are adjacent and have one name.
//!
//! The image's member is always `.jpg`, for any format: readers select members by name and detect formats by
//! the first bytes. With varying names, readers would silently drop samples.

use std::io;
use tar::{Builder, Header};

/// Bytes that are passed on together.
const CHUNK: usize = 1 << 20;

/// Suffix of a sample's image, of any format.
pub const IMAGE: &str = "jpg";
/// Suffix of a sample's text.
pub const TEXT: &str = "txt";
/// Suffix of a sample's record.
pub const RECORD: &str = "json";

/// Encoder of a tar. Equal samples give equal bytes. Memory: a chunk of 1 MiB, and one sample.
pub struct SampleWriter {
    tar: Builder<Vec<u8>>,
    /// Bytes that were returned.
    passed_on: u64,
}

/// Data of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleData<'a> {
    /// The image, unchanged; without one, the sample has no such member.
    pub image: Option<&'a [u8]>,
    /// The text.
    pub text: &'a str,
    /// The record: JSON.
    pub record: &'a [u8],
}

impl SampleWriter {
    /// A tar without samples.
    #[allow(clippy::new_without_default)] // a default would say nothing that `new` does not
    pub fn new() -> Self {
        Self { tar: Builder::new(Vec::new()), passed_on: 0 }
    }

    /// Offset in the tar of the next sample, or of the tar's end marker.
    pub fn position(&self) -> u64 {
        self.passed_on + self.tar.get_ref().len() as u64
    }

    /// Adds a sample, and returns finished bytes: none until there is a chunk.
    ///
    /// # Errors
    /// A name that a tar cannot have.
    pub fn add(&mut self, name: &str, sample: SampleData) -> io::Result<Vec<u8>> {
        if let Some(image) = sample.image {
            self.member(format!("{name}.{IMAGE}"), image)?;
        }
        self.member(format!("{name}.{TEXT}"), sample.text.as_bytes())?;
        self.member(format!("{name}.{RECORD}"), sample.record)?;
        if self.tar.get_ref().len() < CHUNK {
            return Ok(Vec::new());
        }
        self.passed_on = self.position();
        Ok(std::mem::take(self.tar.get_mut()))
    }

    /// Ends the tar, and returns the remaining bytes.
    ///
    /// # Errors
    /// None in practice: the bytes are written to memory.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()
    }

    fn member(&mut self, name: String, bytes: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Without a time and an owner, so that equal samples give equal bytes.
        header.set_mtime(0);
        self.tar.append_data(&mut header, name, bytes)
    }
}
