//! Export of D′ for other trainers: the columns of its Parquet files, and the record that completes it.

mod counts;
mod request;
mod table;

pub use counts::Counts;
pub use request::{Columns, CutSource, ExclusionList, Options, Request, Source};
pub use table::{caption_fields, caption_item, captions_schema, schema};

use crate::record::Record;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Newest version of an export's record; [`Options::version`] is that of one export. Version 1 had the files
/// beside the record, and cleaned texts; version 2 had neither exclusion lists nor near-duplicates.
pub const VERSION: u32 = 3;

/// Name of the record. It is written last: without the record an export is incomplete.
pub const RECORD: &str = "export.json";

/// Name of the request, which is written first and removed last: it lists the files of an export that was
/// killed.
pub const BEGUN: &str = "export.begun.json";

/// Folder of the data files, without other files.
pub const DATA: &str = "data";

/// File with the number of samples of each tar, which open_clip expects beside the tars.
pub const SIZES: &str = "data/sizes.json";

/// File with the shards of an export for MosaicML Streaming.
pub const MDS_INDEX: &str = "data/index.json";

/// Folder of Energon's metadata.
pub const ENERGON: &str = "data/.nv-meta";

/// `itm` in a sidecar without a filter's score: sidecars have no nulls, and P(match) is never below 0.
pub const NO_ITM: f32 = -1.0;

/// `cosine` in a sidecar without a filter's score; a cosine is never below -1.
pub const NO_COSINE: f32 = -2.0;

/// Format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Parquet files: one row per sample, with Hugging Face's image column.
    Parquet,
    /// Tar files: `.jpg`, `.txt` and `.json` per sample; the bytes of the image are unchanged, in any format.
    Webdataset,
    /// BLIP's JSON lists, and one file per image.
    Json,
    /// LLaVA's JSON lists of conversations, and one file per image.
    Llava,
    /// metadata.jsonl for Hugging Face's imagefolder, and per image one file and a .txt file with its texts,
    /// as kohya's scripts and SimpleTuner read them; one sample per image.
    Imagefolder,
    /// The tar files of webdataset with the metadata and the indexes of Megatron-Energon.
    Energon,
    /// Shards and index.json of MosaicML Streaming.
    Mds,
    /// Parquet files without images: key, input file, row and member of each image, and its texts.
    Captions,
}

/// Place of an export's images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImagePlace {
    /// Inside the files of samples.
    Inside,
    /// Files beside lists of samples.
    Beside,
    /// Not in the export.
    Nowhere,
}

impl Format {
    /// File extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet | Self::Captions => "parquet",
            Self::Webdataset | Self::Energon => "tar",
            Self::Json | Self::Llava => "json",
            Self::Imagefolder => "jsonl",
            Self::Mds => "mds",
        }
    }

    /// Place of the images.
    pub fn images(self) -> ImagePlace {
        match self {
            Self::Parquet | Self::Webdataset | Self::Energon | Self::Mds => ImagePlace::Inside,
            Self::Json | Self::Llava | Self::Imagefolder => ImagePlace::Beside,
            Self::Captions => ImagePlace::Nowhere,
        }
    }

    /// Whether programs of version 2 know the format.
    fn is_of_version_2(self) -> bool {
        !matches!(self, Self::Energon | Self::Mds | Self::Captions)
    }

    /// Path below the export's URL of the file with this number.
    pub fn file_name(self, number: usize) -> String {
        match self {
            // The only name that `imagefolder` reads.
            Self::Imagefolder => format!("{DATA}/metadata.jsonl"),
            Self::Mds => format!("{DATA}/shard.{number:05}.mds"),
            _ => format!("{DATA}/pairs-{number:05}.{}", self.extension()),
        }
    }
}

/// Content of one sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// One text with its image, as in BLIP's training.
    #[default]
    Text,
    /// One image, with all of its texts.
    Image,
}

/// Kind of the source of a pair's text, as the record counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A person wrote the text.
    Human,
    /// The text is one of the row's texts in the input.
    Web,
    /// The captioner generated the text.
    Synthetic,
}

impl Origin {
    /// Name in the files of an export.
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
    /// Parameters of the export.
    #[serde(flatten)]
    pub request: Request,
    /// Version of the program that wrote the export.
    pub capfilt: String,
    /// Counts of the pairs, by treatment.
    pub counts: Counts,
    /// All files of samples.
    pub files: Vec<File>,
    /// Entries of the exclusion lists that no row matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmatched_exclusions: Option<u64>,
    /// Samples of each licence; the empty text counts the samples without one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub licences: BTreeMap<String, u64>,
    /// The first rows whose image cannot be decoded; `counts` has the number of all.
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

/// A row that was omitted because of its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// File of the source, and number of the row in it.
    pub file: String,
    /// Number of the row in the file.
    pub row: u64,
    /// Reason, for people.
    pub why: String,
}

/// One file of samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Path below the export's URL.
    pub path: String,
    /// Number of samples.
    pub pairs: u64,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}
