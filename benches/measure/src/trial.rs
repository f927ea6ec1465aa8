//! Inputs of a measurement of both models.

use capfilt_blip::DeviceChoice;
use capfilt_schemas::settings::Precision;
use std::{num::NonZeroUsize, path::PathBuf, thread::available_parallelism};

/// Inputs of a measurement of both models.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "arguments", derive(clap::Args))]
pub struct ModelTrial {
    /// Checkpoint of the captioner
    #[cfg_attr(feature = "arguments", arg(long))]
    pub captioner: PathBuf,
    /// Checkpoint of the filter
    #[cfg_attr(feature = "arguments", arg(long))]
    pub filter: PathBuf,
    /// Folder of images
    #[cfg_attr(feature = "arguments", arg(long))]
    pub images: PathBuf,
    /// File with one web text per line: one row per text. If there are fewer images than texts, images are
    /// used again
    #[cfg_attr(feature = "arguments", arg(long))]
    pub texts: PathBuf,
    /// Images per model call
    #[cfg_attr(feature = "arguments", arg(long, default_value_t = 8))]
    pub batch: usize,
    /// Least number of tokens of a caption; with 20 all captions are equally long, to compare programs
    #[cfg_attr(feature = "arguments", arg(long, default_value_t = 5))]
    pub min_length: usize,
    /// Also judge each image with the text of another row (the negative control), as a job does
    #[cfg_attr(feature = "arguments", arg(long))]
    pub control: bool,
    /// Threads of libtorch [default: the number of cores]
    #[cfg_attr(feature = "arguments", arg(long))]
    pub threads: Option<usize>,
    /// Repeats of the measurement over all rows; the report has the median
    #[cfg_attr(feature = "arguments", arg(long, default_value_t = 3))]
    pub repeats: usize,
    /// Precision of the models
    #[cfg_attr(feature = "arguments", arg(long, default_value = "auto"))]
    pub precision: Precision,
    /// Device of the models: cpu, cuda, cuda:N or auto
    #[cfg_attr(feature = "arguments", arg(long, default_value = "auto"))]
    pub device: DeviceChoice,
}

impl ModelTrial {
    /// Threads of libtorch.
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZeroUsize::get))
    }
}
