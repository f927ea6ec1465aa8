//! What a run is trained on, and how its images are varied.

use serde::{Deserialize, Serialize};

/// One source of pairs: Parquet files with an image and a text in each row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// A Parquet file, or a folder or prefix with any number of them.
    pub url: String,
    /// Column with the row's own name.
    #[serde(default = "default_key")]
    pub key: String,
    /// Column with the image: bytes, Hugging Face's struct{bytes, path}, or a path below `url`.
    #[serde(default = "default_image")]
    pub image: String,
    /// Column with the text.
    #[serde(default = "default_text")]
    pub text: String,
    /// Rows to take, by their other columns: `truth = 'true'`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How often an epoch holds each pair; of a fraction, another part of the pairs every epoch.
    #[serde(default = "once")]
    pub weight: f64,
}

fn default_key() -> String {
    "key".to_owned()
}
fn default_image() -> String {
    "jpg".to_owned()
}
fn default_text() -> String {
    "caption".to_owned()
}
fn once() -> f64 {
    1.0
}

/// How an image is varied each time it is seen (BLIP, section 4.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    pub crop: Crop,
    /// Smallest part of the image that a random crop takes, by area.
    pub min_scale: f64,
    /// Probability of mirroring.
    pub flip: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// A part of the image, squashed to the model's square.
    Random,
    /// All of it.
    Squash,
}
