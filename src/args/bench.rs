//! Arguments of `capfilt bench`.

use super::{SettingsArgs, seconds};
use capfilt_measure::ModelTrial;
use capfilt_runtime::batch_size::BATCH_SIZES;
use clap::{Args as ClapArgs, Subcommand, value_parser};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure how fast the device captions and judges decoded pixels, and compare with the device's peak
    Model(BenchModelArgs),
    /// Find the best number of images per model call on a device, with a job's models
    Batch(BenchBatchArgs),
    /// Measure how fast one core decodes pictures and resizes them to the models' input
    Decode(BenchDecodeArgs),
}

#[derive(Debug, ClapArgs)]
pub struct BenchBatchArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Device of the models: cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_blip::DeviceChoice,
    /// Numbers of images per model call, tried in this order until one exceeds the device's memory
    #[arg(
        long, value_delimiter = ',', default_values_t = BATCH_SIZES,
        value_parser = value_parser!(u32).range(1..)
    )]
    pub sizes: Vec<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchDecodeArgs {
    /// Folder of images
    #[arg(long)]
    pub images: PathBuf,
    /// Side of the models' images, in pixels
    #[arg(long, default_value_t = 384)]
    pub side: u32,
    /// Decode as with input.jpeg_reduction = true; also report the distance to the exact pixels
    #[arg(long)]
    pub reduced: bool,
    /// Seconds to measure
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchModelArgs {
    #[command(flatten)]
    pub trial: ModelTrial,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
