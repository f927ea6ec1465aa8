//! Arguments of `capfilt eval`.

use super::{CheckpointArgs, GenerationArgs};
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub struct EvalArgs {
    #[command(subcommand)]
    pub what: EvalWhat,
}

#[derive(Debug, Subcommand)]
pub enum EvalWhat {
    /// R@1, R@5 and R@10 from images to texts and back, by cosine and by matching
    Retrieval(EvalRetrievalArgs),
    /// BLEU and CIDEr-D of written captions beside the texts of their images
    Caption(EvalCaptionArgs),
}

/// Images and all their texts; rows with the same image are one image with several texts.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Data")]
pub struct EvalDataArgs {
    /// Parquet files: one, or a folder or prefix with them
    #[arg(long, value_name = "URL")]
    pub input: String,
    /// Column of the rows' names
    #[arg(long, default_value = "key")]
    pub key: String,
    /// Column of the images
    #[arg(long, default_value = "jpg")]
    pub image: String,
    /// Column of the texts
    #[arg(long, default_value = "caption")]
    pub text: String,
    /// Rows to take, as in a job: "width >= 224"
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// Take so many images, the first ones; BLIP's test sets have 1,000 and 5,000
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    pub images: u32,
    /// Images per model call
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct EvalRetrievalArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub data: EvalDataArgs,
    /// Candidates by cosine that matching ranks again (BLIP: 256 for COCO, 128 for Flickr); 0: none
    #[arg(long, value_name = "K", default_value_t = 128)]
    pub top_k: u32,
}

#[derive(Debug, ClapArgs)]
pub struct EvalCaptionArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub data: EvalDataArgs,
    #[command(flatten)]
    pub generation: GenerationArgs,
    /// Also say how many captions are true; for pairs of `capfilt demo --make-data`
    #[arg(long)]
    pub truth: bool,
    /// Also write every caption with its score and its image's texts to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub captions: Option<PathBuf>,
}
