//! Arguments of `capfilt bench`.

use super::{SettingsArgs, seconds};
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// Batch sizes that are tried on a GPU, in images per model call.
pub const BATCH_SIZES: [u32; 6] = [16, 32, 64, 128, 256, 512];

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// How fast the device captions and judges ready pixels, beside what it could do at most
    Model(BenchModelArgs),
    /// How many images a model call should take on a device, tried with a job's models
    Batch(BenchBatchArgs),
    /// How fast one core decodes pictures and squashes them to the models' side
    Decode(BenchDecodeArgs),
}

#[derive(Debug, ClapArgs)]
pub struct BenchBatchArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_med::DeviceChoice,
    /// Images per model call, each of which is tried until one does not fit
    #[arg(long, value_delimiter = ',', default_values_t = BATCH_SIZES, value_parser = clap::value_parser!(u32).range(1..))]
    pub sizes: Vec<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchDecodeArgs {
    /// A folder of images
    #[arg(long)]
    pub images: PathBuf,
    /// Side of the models' images, in pixels
    #[arg(long, default_value_t = 384)]
    pub side: u32,
    /// As with input.jpeg_reduction = true; also says how far the pixels are from the exact ones
    #[arg(long)]
    pub reduced: bool,
    /// How long to go on
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchModelArgs {
    /// The captioner's checkpoint
    #[arg(long)]
    pub captioner: PathBuf,
    /// The filter's checkpoint
    #[arg(long)]
    pub filter: PathBuf,
    /// A folder of images
    #[arg(long)]
    pub images: PathBuf,
    /// A file with one web text a line; there is a row for each, and images are used again when there are
    /// fewer
    #[arg(long)]
    pub texts: PathBuf,
    /// Images per model call
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Ids of the shortest caption; 20 makes all captions equally long, so that programs can be compared
    #[arg(long, default_value_t = 5)]
    pub min_length: usize,
    /// Judge a third text for every image, another row's, as a job does
    #[arg(long)]
    pub control: bool,
    /// Threads libtorch computes with [default: as many as there are cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Times all rows are judged; the median counts
    #[arg(long, default_value_t = 3)]
    pub repeats: usize,
    /// f32, bf16, f16, int8 or auto
    #[arg(long, default_value = "auto")]
    pub precision: capfilt_med::PrecisionChoice,
    /// cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_med::DeviceChoice,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
