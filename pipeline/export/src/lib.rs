#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod lists;
mod parquet;
mod run;
mod seen;
mod sink;
mod source;
mod webdataset;

pub use run::{Export, ExportError, Progress, export, find};
pub use source::{Content, Source};

use bytes::Bytes;
use capfilt_schemas::export::Origin;

/// One pair of D'.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The input's own name of the row.
    pub key: Option<String>,
    /// As the input had them.
    pub image: Bytes,
    pub text: String,
    pub origin: Origin,
    /// P(match), where the filter judged.
    pub itm: Option<f32>,
}

impl Pair {
    /// The ending of a file with this image, by its first bytes.
    pub(crate) fn extension(&self) -> &'static str {
        use image::ImageFormat;
        match image::guess_format(&self.image) {
            Ok(ImageFormat::Jpeg) => "jpg",
            Ok(ImageFormat::Png) => "png",
            Ok(ImageFormat::WebP) => "webp",
            Ok(ImageFormat::Gif) => "gif",
            Ok(ImageFormat::Bmp) => "bmp",
            Ok(ImageFormat::Tiff) => "tiff",
            _ => "img",
        }
    }
}
