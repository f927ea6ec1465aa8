//! Arguments of `capfilt eval`.

use super::{CheckpointArgs, GenerationArgs};
use capfilt_evaluate::{AnsweringArgs, QuestionArgs};
use clap::{Args as ClapArgs, Subcommand, value_parser};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub struct EvalArgs {
    #[command(subcommand)]
    pub what: EvalWhat,
}

#[derive(Debug, Subcommand)]
pub enum EvalWhat {
    /// Evaluate retrieval: R@1, R@5 and R@10 from image to text and from text to image, by ITC and by ITM
    Retrieval(EvalRetrievalArgs),
    /// Evaluate captions: BLEU and CIDEr-D against the texts of the images
    Caption(EvalCaptionArgs),
    /// Evaluate answers to questions: VQA accuracy; accuracy for questions with one answer
    Vqa(EvalVqaArgs),
}

/// Input rows of an evaluation; rows with the same image are one image with several texts.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Data")]
pub struct EvalDataArgs {
    /// Parquet file, or a folder or prefix of Parquet files
    #[arg(long, value_name = "URL")]
    pub input: String,
    /// Column with the key of the row
    #[arg(long, default_value = "key")]
    pub key: String,
    /// Column with the image
    #[arg(long, default_value = "jpg")]
    pub image: String,
    /// Column with the text
    #[arg(long, default_value = "caption")]
    pub text: String,
    /// Condition of the rows to evaluate, as in a job: "width >= 224"
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// Number of images, from the first one on; BLIP's test sets have 1,000 (Flickr) and 5,000 (COCO)
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = value_parser!(u32).range(1..))]
    pub images: u32,
    /// Images per model call
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..))]
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
    /// Number of best candidates by ITC cosine that ITM ranks again (BLIP: 256 for COCO, 128 for Flickr); 0:
    /// ITC only
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
    /// Also report how many captions are true; for pairs of `capfilt demo --make-data`
    #[arg(long)]
    pub truth: bool,
    /// Also write each caption with its score and the texts of its image to this file, one JSON object per
    /// line
    #[arg(long, value_name = "FILE")]
    pub captions: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct EvalVqaArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub data: QuestionArgs,
    #[command(flatten)]
    pub answering: AnsweringArgs,
}
