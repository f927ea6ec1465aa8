//! Settings of a job: one TOML file, one table per section. Every key except the URLs has a documented
//! default.
//!
//! `configs/job.toml` ([`Template`]) has every key with its meaning; a test loads the file. This module reads
//! neither files nor the environment.

pub mod bootstrap;
mod captioner;
mod captioner_rules;
mod error;
mod frame_matching;
mod job_rules;
mod links;
mod networks;
mod parse;
mod rule;
pub mod stores;
mod template;
mod text_columns;
pub mod train;
pub mod training_data;
mod values;

pub use captioner::{Captioner, LANGUAGES, When};
pub use error::SettingsError;
pub use frame_matching::FrameMatching;
pub use links::Links;
pub use networks::{Network, Private};
pub use parse::parse;
pub use template::Template;
pub use text_columns::TextColumns;
pub use values::{Auto, Images, Memory, Method, PairsFormat, Precision, Preset};

use crate::{size::ByteSize, texts::SYNTHETIC};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All settings of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Place and seed of the job.
    pub job: Job,
    /// Rows to clean.
    pub input: Input,
    /// Fetching of images that rows name by URL.
    #[serde(default, skip_serializing_if = "Links::is_default")]
    pub links: Links,
    /// Checkpoints.
    pub models: Models,
    /// Generation of captions.
    #[serde(default)]
    pub captioner: Captioner,
    /// Thresholds of the filter.
    #[serde(default)]
    pub filter: Filter,
    /// Size of a shard.
    #[serde(default)]
    pub shards: Shards,
    /// Devices, threads and memory of a machine.
    #[serde(default)]
    pub workers: Workers,
    /// Limits of rows and attempts.
    #[serde(default)]
    pub limits: Limits,
    /// Content of the output tables.
    #[serde(default)]
    pub output: Output,
    /// Settings of single stores that differ from the environment.
    #[serde(default, skip_serializing_if = "stores::Stores::is_empty")]
    pub stores: stores::Stores,
}

/// Place and seed of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Folder or prefix for all objects of the job.
    pub url: String,
    /// Seed of the captions' random numbers.
    #[serde(default)]
    pub seed: u64,
}

/// Input of a job: files, columns, and the condition on rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Parquet, tars, tables of records or folders of images: a file, a folder or prefix, files by a pattern,
    /// or a dataset of the Hub.
    pub url: String,
    /// Column with the row's key.
    #[serde(default = "default_key")]
    pub key: String,
    /// Column with the image: bytes, Hugging Face's struct{bytes, path}, or a path below `url`. With
    /// `frames`, the column with the clip: a list of encoded frames, as bytes or struct{bytes}.
    #[serde(default = "default_image")]
    pub image: String,
    /// Rows are clips, of which this number of frames is judged, sampled uniformly; default: rows are images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    /// Columns with texts, each a text or a list of texts; one name, or a list of names.
    #[serde(default)]
    pub text: TextColumns,
    /// Condition on other columns that selects the rows to clean: `status = 'success' and width >= 256`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Columns that are copied into the pairs table unchanged.
    #[serde(default)]
    pub passthrough: Vec<String>,
    /// Rotate images by their EXIF orientation. The reference does not.
    #[serde(default)]
    pub exif_rotation: bool,
    /// Decode JPEGs more than twice as large as the models' side at a half, a quarter or an eighth.
    #[serde(default)]
    pub jpeg_reduction: bool,
}

fn default_key() -> String {
    "key".to_owned()
}
fn default_image() -> String {
    "jpg".to_owned()
}

/// Checkpoints of a job, and their computation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// Folder or prefix of the captioner's checkpoint. Without it, captions come from `captioner.endpoint`,
    /// or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captioner: Option<String>,
    /// Folder or prefix of the filter's checkpoint.
    pub filter: String,
    /// Folder or prefix of a CLIP's checkpoint, of transformers or of OpenCLIP. With it, every judged text
    /// also gets a CLIP score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<String>,
    /// Implementation to reproduce.
    #[serde(default)]
    pub preset: Preset,
    /// Number format of the computation.
    #[serde(default)]
    pub precision: Precision,
}

/// Thresholds of the filter, and the length of its texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// A text of the input is kept when P(match) is at least this, unless `thresholds` has its column.
    pub web_threshold: f64,
    /// A synthetic text is kept when P(match) is at least this.
    pub synthetic_threshold: f64,
    /// Words of a text that the filter reads, after cleaning.
    pub max_words: u32,
    /// Computation of P(match) of a clip: the highest value of its frames, their mean, or one value of the
    /// tokens of all frames.
    #[serde(skip_serializing_if = "FrameMatching::is_max")]
    pub frames: FrameMatching,
    /// Texts whose language is known and not in this list are not judged; empty: all languages are judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Thresholds of single text columns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, f64>,
    /// A text of the input must also have at least this CLIP score, unless `clip_thresholds` has its column;
    /// default: CLIP scores decide nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_web_threshold: Option<f64>,
    /// A synthetic text must also have at least this CLIP score; default: CLIP scores decide nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_synthetic_threshold: Option<f64>,
    /// CLIP thresholds of single text columns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub clip_thresholds: BTreeMap<String, f64>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            web_threshold: 0.5,
            synthetic_threshold: 0.5,
            max_words: 30,
            frames: FrameMatching::Max,
            languages: Vec::new(),
            thresholds: BTreeMap::new(),
            clip_web_threshold: None,
            clip_synthetic_threshold: None,
            clip_thresholds: BTreeMap::new(),
        }
    }
}

impl Filter {
    /// Least P(match) of a kept text of a source.
    pub fn threshold(&self, source: &str) -> f64 {
        match source {
            SYNTHETIC => self.synthetic_threshold,
            column => self.thresholds.get(column).copied().unwrap_or(self.web_threshold),
        }
    }

    /// Least CLIP score of a kept text of a source; `None` if CLIP scores decide nothing.
    pub fn clip_threshold(&self, source: &str) -> Option<f64> {
        match source {
            SYNTHETIC => self.clip_synthetic_threshold,
            column => self.clip_thresholds.get(column).copied().or(self.clip_web_threshold),
        }
    }
}

/// Cut of the input into shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shards {
    /// Approximate rows per shard: row groups are never cut.
    pub rows: u64,
}

impl Default for Shards {
    fn default() -> Self {
        Self { rows: 10_000 }
    }
}

/// Settings of a machine. Only `batch` can change a result, so a resumed job may have other values of the
/// rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// Devices, one worker process each: `auto`, `cpu`, `cuda`, `cuda:1`.
    pub devices: Vec<String>,
    /// Images per model call; frozen in the job at its first run.
    pub batch: Auto,
    /// Threads that decode images, per worker process.
    pub decode_threads: Auto,
    /// Threads that compute the model on a CPU, per worker process.
    pub model_threads: Auto,
    /// Longest wait for a store that no longer answers, in seconds.
    pub outage_seconds: u64,
    /// Bytes of the input that all worker processes of a machine may hold together; at least 1 GiB each.
    #[serde(skip_serializing_if = "Memory::is_auto")]
    pub memory: Memory,
}

/// Default of [`Workers::outage_seconds`]: an outage of ten minutes, and half of that in addition.
pub const OUTAGE_SECONDS: u64 = 900;

/// Least share of [`Workers::memory`] of a worker process, in bytes: with less, two batches of large images
/// do not fit.
pub const LEAST_MEMORY: u64 = 1 << 30;

impl Default for Workers {
    fn default() -> Self {
        Self {
            devices: vec!["auto".to_owned()],
            batch: Auto::Auto,
            decode_threads: Auto::Auto,
            model_threads: Auto::Auto,
            outage_seconds: OUTAGE_SECONDS,
            memory: Memory::Auto,
        }
    }
}

/// Limits of rows and attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most bytes of an encoded image.
    pub image_bytes: ByteSize,
    /// Most pixels of an image: width × height.
    pub pixels: u64,
    /// Least length of an image's shorter side, in pixels.
    pub min_side: u32,
    /// Most bytes of a text.
    pub text_bytes: ByteSize,
    /// Most texts of a row that are read from one text column.
    #[serde(skip_serializing_if = "is_default_texts")]
    pub texts: u32,
    /// Attempts per shard before it is quarantined.
    pub attempts: u32,
    /// Share of a shard's rows that may fail with one status before the job stops.
    pub failure_budget: f64,
    /// Time limit for decoding and resizing an image, in seconds.
    pub decode_seconds: u32,
}

/// Default of [`Limits::texts`].
const TEXTS: u32 = 64;

fn is_default_texts(texts: &u32) -> bool {
    *texts == TEXTS
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            image_bytes: ByteSize(50 << 20),
            pixels: 100_000_000,
            min_side: 1,
            text_bytes: ByteSize(16 << 10),
            texts: TEXTS,
            attempts: 4,
            failure_budget: 0.05,
            decode_seconds: 120,
        }
    }
}

/// Content of the output tables.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Whether the pairs table contains the images' bytes or refers to the input.
    pub images: Images,
    /// Format of the pairs.
    #[serde(skip_serializing_if = "PairsFormat::is_parquet")]
    pub format: PairsFormat,
    /// Whether the ledger has the ITC features of images and texts.
    #[serde(skip_serializing_if = "is_false")]
    pub embeddings: bool,
}

fn is_false(setting: &bool) -> bool {
    !*setting
}
