//! A WebDataset file: a tar in which the members of a sample are adjacent and have one number.
//!
//! The image's member is always `.jpg`, for any format: readers select members by name and detect formats by
//! the first bytes. With varying names, readers would silently drop samples.

use super::sidecar;
use crate::{ExportError, arrange::Sample, kinds::Kinds};
use serde_json::Value;
use tar::{Builder, Header};

/// Bytes that are passed on together.
const CHUNK: usize = 1 << 20;

/// Encoder of a tar.
pub(super) struct Encoder<'a> {
    kinds: &'a Kinds,
    path: String,
    tar: Builder<Vec<u8>>,
}

impl<'a> Encoder<'a> {
    pub fn new(kinds: &'a Kinds, path: &str) -> Self {
        Self { kinds, path: path.to_owned(), tar: Builder::new(Vec::new()) }
    }

    /// Adds the sample with its number, and returns finished bytes.
    pub fn add(&mut self, number: u64, sample: &Sample, image: &[u8]) -> Result<Vec<u8>, ExportError> {
        let record = Value::Object(sidecar::record(sample, self.kinds)).to_string();
        self.member(format!("{number:012}.jpg"), image)?;
        self.member(format!("{number:012}.txt"), sample.caption.text.as_bytes())?;
        self.member(format!("{number:012}.json"), record.as_bytes())?;
        let is_enough = self.tar.get_ref().len() >= CHUNK;
        Ok(if is_enough { std::mem::take(self.tar.get_mut()) } else { Vec::new() })
    }

    pub fn finish(self) -> Result<Vec<u8>, ExportError> {
        let Self { path, tar, .. } = self;
        tar.into_inner().map_err(|source| ExportError::Write { object: path, source: Box::new(source) })
    }

    fn member(&mut self, name: String, bytes: &[u8]) -> Result<(), ExportError> {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Without a time, so that equal samples give equal bytes.
        header.set_mtime(0);
        let added = self.tar.append_data(&mut header, name, bytes);
        added.map_err(|source| ExportError::Write { object: self.path.clone(), source: Box::new(source) })
    }
}
