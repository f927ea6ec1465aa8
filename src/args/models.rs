//! Arguments of the commands that use one model.

use capfilt_evaluate::AnsweringArgs;
use capfilt_runtime::model_arguments::{CheckpointArgs, GenerationArgs};
use clap::Args as ClapArgs;
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub struct ModelArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Image file; repeatable
    #[arg(long = "image", required = true)]
    pub images: Vec<PathBuf>,
    /// Print one JSON object per image
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ScoreArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Text to judge; repeatable
    #[arg(long = "text", required = true)]
    pub texts: Vec<String>,
    /// Checkpoint of a CLIP, for its score as well: a folder of transformers' CLIPModel or of OpenCLIP
    #[arg(long)]
    pub clip: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct CaptionArgs {
    #[command(flatten)]
    pub model: ModelArgs,
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

#[derive(Debug, ClapArgs)]
pub struct AnswerArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Question about each image; repeatable
    #[arg(long = "question", required = true)]
    pub questions: Vec<String>,
    #[command(flatten)]
    pub answering: AnsweringArgs,
}
