//! Arguments of the commands that ask one model.

use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub struct ModelArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// An image file; several may be given
    #[arg(long = "image", required = true)]
    pub images: Vec<PathBuf>,
    /// Print one JSON object per image
    #[arg(long)]
    pub json: bool,
}

/// A model and how it computes.
#[derive(Debug, ClapArgs)]
pub struct CheckpointArgs {
    /// Checkpoint: a folder in Hugging Face's layout or with a .pth file, as a path or a URL; or a local .pth
    /// file
    #[arg(long)]
    pub model: PathBuf,
    /// Whose behaviour: original (BLIP, LAVIS) or hf (transformers)
    #[arg(long, default_value = "original")]
    pub preset: capfilt_med::Preset,
    /// f32, bf16, f16, int8 or auto
    #[arg(long, default_value = "auto")]
    pub precision: capfilt_med::PrecisionChoice,
    /// cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_med::DeviceChoice,
}

#[derive(Debug, ClapArgs)]
pub struct ScoreArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A text to judge; several may be given
    #[arg(long = "text", required = true)]
    pub texts: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Method {
    Greedy,
    Nucleus,
    Beam,
}

/// How captions are written.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Decoding")]
pub struct GenerationArgs {
    /// How to decode [default: nucleus for the original preset, greedy for hf; `eval` searches with beams, as
    /// the paper does]
    #[arg(long)]
    pub method: Option<Method>,
    #[arg(long, default_value_t = 3)]
    pub beams: usize,
    /// Put before the caption, and cut off again; '' for none [default: the preset's]
    #[arg(long)]
    pub prompt: Option<String>,
    /// Ids, prompt and end included [default: the preset's]
    #[arg(long)]
    pub max_length: Option<usize>,
    /// Ids, prompt and end included [default: the preset's]
    #[arg(long)]
    pub min_length: Option<usize>,
    #[arg(long, default_value_t = 0.9)]
    pub top_p: f64,
    #[arg(long, default_value_t = 50)]
    pub top_k: usize,
    /// [default: 1.1 for nucleus sampling with the original preset, else 1]
    #[arg(long)]
    pub repetition_penalty: Option<f64>,
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(Debug, ClapArgs)]
pub struct CaptionArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub generation: GenerationArgs,
    #[arg(long, default_value_t = 1)]
    pub num_captions: usize,
    /// Also print what each word of one sampled caption was drawn from: [[id, probability], ...], likeliest
    /// first
    #[arg(long, requires = "json", conflicts_with = "num_captions")]
    pub candidates: bool,
}
