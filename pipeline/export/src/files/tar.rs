//! A WebDataset file: a tar in which the members of a sample have one number.

use super::sidecar;
use crate::{ExportError, arrange::Sample, kinds::Kinds};
use capfilt_store::tar::{SampleData, SampleWriter};
use serde_json::Value;
use std::io;

/// Encoder of a tar. Memory: 8 bytes per sample.
pub(super) struct Encoder<'a> {
    kinds: &'a Kinds,
    path: String,
    tar: SampleWriter,
    /// Offset of each sample in the tar, and of the end marker.
    offsets: Vec<u64>,
}

impl<'a> Encoder<'a> {
    pub fn new(kinds: &'a Kinds, path: &str) -> Self {
        Self { kinds, path: path.to_owned(), tar: SampleWriter::new(), offsets: vec![0] }
    }

    /// Adds the sample with its number, and returns finished bytes.
    pub fn add(&mut self, number: u64, sample: &Sample, image: &[u8]) -> Result<Vec<u8>, ExportError> {
        let record = Value::Object(sidecar::record(sample, self.kinds)).to_string();
        let data = SampleData { image: Some(image), text: &sample.caption.text, record: record.as_bytes() };
        let bytes = self.tar.add(&format!("{number:012}"), data).map_err(failed(&self.path))?;
        self.offsets.push(self.tar.position());
        Ok(bytes)
    }

    /// Energon's index of the tar: the offsets as 64-bit numbers, little-endian.
    pub fn index(&self) -> Vec<u8> {
        self.offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
    }

    pub fn finish(self) -> Result<Vec<u8>, ExportError> {
        self.tar.finish().map_err(failed(&self.path))
    }
}

fn failed(path: &str) -> impl Fn(io::Error) -> ExportError {
    move |source| ExportError::Write { object: path.to_owned(), source: Box::new(source) }
}
