//! Inputs of a measurement of both models.

use capfilt_blip::DeviceChoice;
use capfilt_schemas::settings::Precision;
use std::path::Path;

/// Inputs of a measurement of both models.
#[derive(Debug, Clone, Copy)]
pub struct ModelTrial<'a> {
    /// Checkpoint of the captioner.
    pub captioner: &'a Path,
    /// Checkpoint of the filter.
    pub filter: &'a Path,
    /// Folder of images.
    pub images: &'a Path,
    /// File with one web text per line: one row per text.
    pub texts: &'a Path,
    /// Images per model call.
    pub batch: usize,
    /// Least number of tokens of a caption.
    pub min_length: usize,
    /// Whether each image is also judged with the text of another row.
    pub control: bool,
    /// Threads of libtorch.
    pub threads: usize,
    /// Repeats over all rows.
    pub repeats: usize,
    /// Precision of the models.
    pub precision: Precision,
    /// Device of the models.
    pub device: DeviceChoice,
}
