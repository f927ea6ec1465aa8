//! A shard of MosaicML Streaming (MDS, version 2).
//!
//! All numbers are little-endian. A shard is
//!
//! 1. the number of samples (u32), and the offset of each sample and of the end of the shard (u32 each),
//! 2. the columns as JSON,
//! 3. the samples: the lengths (u32) of the values whose encoding has no fixed length, then all values, in
//!    the alphabetic order of the columns.
//!
//! `index.json` has the columns, the samples and the bytes of each shard. The image has the encoding `jpeg`:
//! `StreamingDataset` opens its bytes with Pillow, which recognizes every format by its first bytes, so the
//! bytes stay those of the input. The encoding `bytes` would leave the decoding to the user.

use super::sidecar;
use crate::{
    ExportError,
    arrange::Sample,
    kinds::{Kind, Kinds},
};
use capfilt_schemas::export::{File, MDS_INDEX};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Column with the image.
const IMAGE: &str = "image";

/// Encoding of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Image,
    Text,
    Whole,
    Float32,
    Float64,
    Json,
}

impl Encoding {
    /// Encoding of a field of the sidecar.
    fn of(name: &str, kinds: &Kinds) -> Self {
        match name {
            IMAGE => Self::Image,
            "captions" => Self::Json,
            "itm" | "cosine" => Self::Float32,
            "width" | "height" => Self::Whole,
            _ => match kinds.get(name) {
                Some(Kind::Bool) => Self::Json,
                Some(Kind::Whole) => Self::Whole,
                Some(Kind::Number) => Self::Float64,
                Some(Kind::Text | Kind::Nothing) | None => Self::Text,
            },
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Image => "jpeg",
            Self::Text => "str",
            Self::Whole => "int",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Json => "json",
        }
    }

    /// Bytes of every value; `None` if they vary.
    fn fixed(self) -> Option<u32> {
        match self {
            Self::Whole | Self::Float64 => Some(8),
            Self::Float32 => Some(4),
            Self::Image | Self::Text | Self::Json => None,
        }
    }

    fn bytes(self, value: &Value) -> Vec<u8> {
        match self {
            Self::Image => Vec::new(),
            Self::Text => value.as_str().unwrap_or_default().as_bytes().to_vec(),
            Self::Whole => value.as_i64().unwrap_or_default().to_le_bytes().to_vec(),
            Self::Float32 => (value.as_f64().unwrap_or_default() as f32).to_le_bytes().to_vec(),
            Self::Float64 => value.as_f64().unwrap_or_default().to_le_bytes().to_vec(),
            Self::Json => value.to_string().into_bytes(),
        }
    }
}

/// Columns of a shard, in alphabetic order.
fn columns(kinds: &Kinds) -> BTreeMap<String, Encoding> {
    let names = sidecar::FIELDS.iter().copied().chain(kinds.keys().map(String::as_str)).chain([IMAGE]);
    names.map(|name| (name.to_owned(), Encoding::of(name, kinds))).collect()
}

/// Description of the columns, as it is in each shard and in the index.
fn description(columns: &BTreeMap<String, Encoding>) -> Map<String, Value> {
    let encodings: Vec<&str> = columns.values().map(|encoding| encoding.name()).collect();
    let sizes: Vec<Option<u32>> = columns.values().map(|encoding| encoding.fixed()).collect();
    let names: Vec<&String> = columns.keys().collect();
    let fields = [
        ("column_encodings", json!(encodings)),
        ("column_names", json!(names)),
        ("column_sizes", json!(sizes)),
        ("compression", Value::Null),
        ("format", json!("mds")),
        ("hashes", json!([])),
        ("size_limit", Value::Null),
        ("version", json!(2)),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// Encoder of a shard. Its samples are measured first, because their offsets precede them. Memory: 4 bytes
/// per sample.
pub(super) struct Encoder<'a> {
    kinds: &'a Kinds,
    path: String,
    columns: BTreeMap<String, Encoding>,
    /// Bytes of each measured sample.
    sizes: Vec<u64>,
    has_begun: bool,
}

impl<'a> Encoder<'a> {
    pub fn new(kinds: &'a Kinds, path: &str) -> Self {
        let columns = columns(kinds);
        Self { kinds, path: path.to_owned(), columns, sizes: Vec::new(), has_begun: false }
    }

    /// Measures the next sample; all samples are measured before the first is added.
    pub fn measure(&mut self, sample: &Sample) {
        let (head, values) = self.encode(sample);
        let values: usize = values.iter().map(Vec::len).sum();
        self.sizes.push((head.len() + values) as u64 + sample.image.bytes);
    }

    /// Adds a sample, and returns its bytes, the first after the header.
    pub fn add(&mut self, sample: &Sample, image: Vec<u8>) -> Result<Vec<u8>, ExportError> {
        let mut bytes = if self.has_begun { Vec::new() } else { self.header()? };
        self.has_begun = true;
        let (head, values) = self.encode(sample);
        bytes.extend(head);
        for (encoding, value) in self.columns.values().zip(values) {
            bytes.extend(if *encoding == Encoding::Image { &image } else { &value });
        }
        Ok(bytes)
    }

    fn header(&self) -> Result<Vec<u8>, ExportError> {
        let columns = Value::Object(description(&self.columns)).to_string();
        let first = 4 * (2 + self.sizes.len() as u64) + columns.len() as u64;
        let bytes = first + self.sizes.iter().sum::<u64>();
        if bytes > u64::from(u32::MAX) {
            return Err(ExportError::LargeShard { path: self.path.clone(), bytes });
        }
        let mut header = (self.sizes.len() as u32).to_le_bytes().to_vec();
        let mut offset = first;
        header.extend((offset as u32).to_le_bytes());
        for size in &self.sizes {
            offset += size;
            header.extend((offset as u32).to_le_bytes());
        }
        header.extend(columns.into_bytes());
        Ok(header)
    }

    /// Lengths of the values without a fixed length, and the values; the image's value is empty.
    fn encode(&self, sample: &Sample) -> (Vec<u8>, Vec<Vec<u8>>) {
        let record = sidecar::record(sample, self.kinds);
        let (mut head, mut values) = (Vec::new(), Vec::new());
        for (name, encoding) in &self.columns {
            let value = encoding.bytes(record.get(name).unwrap_or(&Value::Null));
            let length = if *encoding == Encoding::Image { sample.image.bytes } else { value.len() as u64 };
            if encoding.fixed().is_none() {
                // A shard is checked to be below 4 GiB.
                head.extend((length as u32).to_le_bytes());
            }
            values.push(value);
        }
        (head, values)
    }
}

/// Path and content of the index of all shards.
pub(super) fn index(kinds: &Kinds, files: &[File]) -> (String, Vec<u8>) {
    let columns = columns(kinds);
    let shard = |file: &File| {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let mut shard = description(&columns);
        shard.insert("samples".to_owned(), json!(file.pairs));
        shard.insert("raw_data".to_owned(), json!({"basename": name, "bytes": file.bytes, "hashes": {}}));
        shard.insert("zip_data".to_owned(), Value::Null);
        Value::Object(shard)
    };
    let shards: Vec<Value> = files.iter().map(shard).collect();
    (MDS_INDEX.to_owned(), json!({"version": 2, "shards": shards}).to_string().into_bytes())
}
