//! D', exported for other trainers: the columns of its Parquet files, and the record that says it is whole.

mod counts;
mod request;
mod table;

pub use counts::Counts;
pub use request::{Columns, Options, Request, Source};
pub use table::{caption_fields, caption_item, schema};

use crate::record::Record;
use serde::{Deserialize, Serialize};

/// Version of the export's files and of its record. Version 1 had its files beside the record, and cleaned
/// texts.
pub const VERSION: u32 = 2;

/// Name of the record. It is written last: without it an export is not whole.
pub const RECORD: &str = "export.json";

/// Name of the request, which is written first and removed last: with it, an export that was killed knows its
/// files.
pub const BEGUN: &str = "export.begun.json";

/// The folder with the data, and with nothing else.
pub const DATA: &str = "data";

/// Samples of each tar, for open_clip, which looks for it beside the tars.
pub const SIZES: &str = "data/sizes.json";

/// `itm` in a sidecar where no filter judged: sidecars have no nulls, and P(match) is never below 0.
pub const NO_ITM: f32 = -1.0;

/// `cosine` in a sidecar where no filter judged; a cosine is never below -1.
pub const NO_COSINE: f32 = -2.0;

/// Form of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `pairs-00000.parquet`, one row a sample: see [`schema`].
    Parquet,
    /// `pairs-00000.tar`: for each sample `<number>.jpg` (of an image in any format), `.txt` and `.json`.
    Webdataset,
    /// `pairs-00000.json` as BLIP's pre-training reads it, and each image once below `images/`.
    Json,
}

impl Format {
    /// Ending of the files' names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Webdataset => "tar",
            Self::Json => "json",
        }
    }

    /// Path below the export's URL of the file with a number.
    pub fn file_name(self, number: usize) -> String {
        format!("{DATA}/pairs-{number:05}.{}", self.extension())
    }
}

/// What is one sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Each text with its image, as BLIP trains.
    #[default]
    Text,
    /// Each image, with all of its texts.
    Image,
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
    #[serde(flatten)]
    pub request: Request,
    pub capfilt: String,
    pub counts: Counts,
    pub files: Vec<File>,
    /// The first rows whose image cannot be decoded; `counts` has all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

impl Record for ExportRecord {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "record of an export";
}

impl Record for Request {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "request of an export";
}

/// A row whose image was looked at and left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The source's file and the number of the row in it.
    pub file: String,
    pub row: u64,
    pub why: String,
}

/// One file of samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Path below the export's URL.
    pub path: String,
    /// Samples in it.
    pub pairs: u64,
    pub bytes: u64,
    pub sha256: String,
}
