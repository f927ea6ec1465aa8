//! Arguments of the commands that load one model.

use crate::{ModelOptions, registry};
use capfilt_blip::DeviceChoice;
use capfilt_schemas::settings::{Captioner, Method, Precision, Preset};
use std::path::PathBuf;

/// Checkpoint, preset, precision and device of one model.
#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    /// Checkpoint: path or URL of a folder in Hugging Face's layout or with a .pth file; or path of a .pth
    /// file
    #[arg(long)]
    pub model: PathBuf,
    /// Reference implementation: original (BLIP, LAVIS) or hf (transformers)
    #[arg(long, default_value = "original")]
    pub preset: Preset,
    /// Precision of the model
    #[arg(long, default_value = "auto")]
    pub precision: Precision,
    /// Device of the model: cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
}

impl CheckpointArgs {
    /// Options of the model.
    pub fn options(&self) -> ModelOptions {
        let Self { device, precision, preset, .. } = *self;
        ModelOptions { device, precision, preset }
    }
}

/// Decoding of captions.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Decoding")]
pub struct GenerationArgs {
    /// Decoding method [default: nucleus for the original preset, greedy for hf; `eval`: beam, as in the
    /// paper]
    #[arg(long)]
    pub method: Option<Method>,
    /// Number of beams of the beam search
    #[arg(long, default_value_t = 3)]
    pub beams: u32,
    /// Text before each caption, which the captioner continues and the output omits; '' for none [default:
    /// the preset's]
    #[arg(long)]
    pub prompt: Option<String>,
    /// Largest number of tokens, prompt and end token included [default: the preset's]
    #[arg(long)]
    pub max_length: Option<u32>,
    /// Least number of tokens, prompt and end token included [default: the preset's]
    #[arg(long)]
    pub min_length: Option<u32>,
    /// Nucleus sampling: sum of the probabilities of the most probable tokens to sample from
    #[arg(long, default_value_t = 0.9)]
    pub top_p: f64,
    /// Nucleus sampling: number of most probable tokens to sample from; 0: all
    #[arg(long, default_value_t = 50)]
    pub top_k: u32,
    /// Penalty of tokens that the caption already has; 1: none [default: 1.1 for nucleus sampling with the
    /// original preset, else 1]
    #[arg(long)]
    pub repetition_penalty: Option<f64>,
    /// Seed of the nucleus sampling
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl GenerationArgs {
    /// Decoding of the arguments, completed by the preset's; `method` is the default method.
    pub fn decoding(&self, checkpoint: &CheckpointArgs, method: Method) -> Captioner {
        let method = self.method.unwrap_or(method);
        let preset = registry::decoding(&checkpoint.model, checkpoint.preset, method);
        Captioner {
            beams: self.beams,
            top_p: self.top_p,
            top_k: self.top_k,
            repetition_penalty: self.repetition_penalty.unwrap_or(preset.repetition_penalty),
            min_length: self.min_length.unwrap_or(preset.min_length),
            max_length: self.max_length.unwrap_or(preset.max_length),
            prompt: self.prompt.clone().unwrap_or(preset.prompt),
            ..preset
        }
    }
}

/// A model, and the images that it reads.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// The model
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Image file; repeatable
    #[arg(long = "image", required = true)]
    pub images: Vec<PathBuf>,
    /// Print one JSON object per image
    #[arg(long)]
    pub json: bool,
}

/// Texts to judge.
#[derive(Debug, clap::Args)]
pub struct ScoreArgs {
    /// Model and images
    #[command(flatten)]
    pub model: ModelArgs,
    /// Text to judge; repeatable
    #[arg(long = "text", required = true)]
    pub texts: Vec<String>,
    /// Judge each text as a statement about the two images, in their order, with a BLIP NLVR2 checkpoint
    #[arg(long, conflicts_with = "clip")]
    pub pair: bool,
    /// Checkpoint of a CLIP, for its score as well: a folder of transformers' CLIPModel or of OpenCLIP
    #[arg(long)]
    pub clip: Option<PathBuf>,
}

/// Captions to write.
#[derive(Debug, clap::Args)]
pub struct CaptionArgs {
    /// Model and images
    #[command(flatten)]
    pub model: ModelArgs,
    /// Decoding of the captions
    #[command(flatten)]
    pub generation: GenerationArgs,
    /// Captions per image
    #[arg(long, default_value_t = 1)]
    pub num_captions: usize,
    /// Also print the candidates of each token of one sampled caption: [[id, probability], ...], the most
    /// probable first
    #[arg(long, requires = "json", conflicts_with = "num_captions")]
    pub candidates: bool,
}
