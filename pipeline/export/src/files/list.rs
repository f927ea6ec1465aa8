//! BLIP's lists: JSON arrays of `{"image": path, "caption": text}`, as its pre-training reads them, and the
//! images as files. Paths are relative to the list, or begin with `--image-root`.

use super::sidecar;
use crate::{arrange::Sample, kinds::Kinds};
use serde_json::{Value, json};

/// Encoder of a list, one sample per line.
pub(super) struct Encoder<'a> {
    kinds: &'a Kinds,
    image_root: &'a str,
    lines: u64,
}

impl<'a> Encoder<'a> {
    pub fn new(kinds: &'a Kinds, image_root: &'a str) -> Self {
        Self { kinds, image_root: image_root.trim_end_matches('/'), lines: 0 }
    }

    pub fn add(&mut self, sample: &Sample) -> Vec<u8> {
        let mut record = sidecar::record(sample, self.kinds);
        let path = sample.image.path();
        let path = if self.image_root.is_empty() { path } else { format!("{}/{path}", self.image_root) };
        record.insert("image".to_owned(), json!(path));
        let before = if self.lines == 0 { "[" } else { ",\n " };
        self.lines += 1;
        format!("{before}{}", Value::Object(record)).into_bytes()
    }

    pub fn finish(self) -> Vec<u8> {
        if self.lines == 0 { b"[]\n".to_vec() } else { b"]\n".to_vec() }
    }
}
