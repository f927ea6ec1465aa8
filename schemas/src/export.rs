//! D', exported for other trainers: the columns of its Parquet files, and the record that says it is whole.

use crate::pairs::image_fields;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// Version of the export's files and of its record.
pub const VERSION: u32 = 1;

/// Name of the record. It is written last: without it an export is not whole.
pub const RECORD: &str = "export.json";

/// Form of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `pairs-00000.parquet`, one row a pair: see [`schema`].
    Parquet,
    /// `pairs-00000.tar`: for each pair `<number>.jpg` (or what the image is), `.txt` and `.json`.
    Webdataset,
    /// `pairs-00000.json` as BLIP's pre-training reads it, and each image once below `images/`.
    Json,
}

/// Whose text a pair has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Human,
    Web,
    Synthetic,
}

impl Origin {
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Web => "web",
            Self::Synthetic => "synthetic",
        }
    }
}

/// `export.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportRecord {
    pub version: u32,
    pub capfilt: String,
    pub format: Format,
    /// In the order in which they were read; of equal pairs the first stays.
    pub sources: Vec<Source>,
    pub counts: Counts,
    pub files: Vec<File>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Source {
    Human {
        url: String,
        /// Digest over the files and their states.
        version: String,
    },
    Job {
        url: String,
        /// Number and digest of its manifest.
        manifest: u32,
        digest: String,
        /// Which of the kept texts: both, web, synthetic or score.
        texts: String,
    },
}

/// What became of the pairs: those read are those written, those twice there and those without image or text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub human: u64,
    pub web: u64,
    pub synthetic: u64,
    /// Equal image and equal cleaned text as a pair before.
    pub duplicates: u64,
    pub unusable: u64,
    /// Image files beside the lists of [`Format::Json`].
    pub images: u64,
}

impl Counts {
    pub fn written(&self) -> u64 {
        self.human + self.web + self.synthetic
    }

    /// Whether every pair that was read is accounted for.
    pub fn balance(&self) -> bool {
        self.read == self.written() + self.duplicates + self.unusable
    }
}

/// One file of pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub path: String,
    pub pairs: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// Columns of an exported Parquet file. `image` is Hugging Face's image struct; `itm` is P(match), null of human pairs.
pub fn schema() -> SchemaRef {
    let fields = vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("image", DataType::Struct(image_fields()), true),
        Field::new("caption", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("itm", DataType::Float32, true),
    ];
    let features = concat!(
        r#"{"info": {"features": {"key": {"dtype": "string", "_type": "Value"}, "image": {"_type": "Image"}, "#,
        r#""caption": {"dtype": "string", "_type": "Value"}, "source": {"dtype": "string", "_type": "Value"}, "#,
        r#""itm": {"dtype": "float32", "_type": "Value"}}}}"#
    );
    let metadata = [("capfilt.export.version", VERSION.to_string()), ("huggingface", features.to_owned())];
    let metadata: HashMap<String, String> = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    Arc::new(Schema::new_with_metadata(fields, metadata))
}
