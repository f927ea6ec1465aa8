//! A WebDataset file: a tar in which the members of a sample have one number.

use super::sidecar;
use crate::{ExportError, arrange::Sample, kinds::Kinds};
use capfilt_store::tar::{SampleData, SampleWriter};
use serde_json::Value;
use std::io;

/// Encoder of a tar.
pub(super) struct Encoder<'a> {
    kinds: &'a Kinds,
    path: String,
    tar: SampleWriter,
}

impl<'a> Encoder<'a> {
    pub fn new(kinds: &'a Kinds, path: &str) -> Self {
        Self { kinds, path: path.to_owned(), tar: SampleWriter::new() }
    }

    /// Adds the sample with its number, and returns finished bytes.
    pub fn add(&mut self, number: u64, sample: &Sample, image: &[u8]) -> Result<Vec<u8>, ExportError> {
        let record = Value::Object(sidecar::record(sample, self.kinds)).to_string();
        let data = SampleData { image: Some(image), text: &sample.caption.text, record: record.as_bytes() };
        self.tar.add(&format!("{number:012}"), data).map_err(failed(&self.path))
    }

    pub fn finish(self) -> Result<Vec<u8>, ExportError> {
        self.tar.finish().map_err(failed(&self.path))
    }
}

fn failed(path: &str) -> impl Fn(io::Error) -> ExportError {
    move |source| ExportError::Write { object: path.to_owned(), source: Box::new(source) }
}
