//! Arguments of `capfilt eval`.

use capfilt_evaluate::{
    AnsweringArgs, EvalDataArgs, Negatives, QuestionArgs, StatementArgs, VideoQaArgs, VideoRetrievalArgs,
};
use capfilt_runtime::model_arguments::{CheckpointArgs, GenerationArgs};
use clap::{Args as ClapArgs, Subcommand};
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
    /// Evaluate retrieval of clips: as `retrieval`, and by several frames of each clip
    VideoRetrieval(VideoRetrievalArgs<EvalRetrievalArgs>),
    /// Evaluate answers to questions about clips: as `vqa`, by the tokens of several frames
    VideoQa(VideoQaArgs<EvalVqaArgs>),
    /// Evaluate P(match) as a probability, and fit the temperature that calibrates it
    Calibration(EvalCalibrationArgs),
    /// Evaluate judgements about statements on pairs of images (NLVR2): accuracy
    Nlvr(EvalNlvrArgs),
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

#[derive(Debug, ClapArgs)]
pub struct EvalCalibrationArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub data: EvalDataArgs,
    /// Texts of the false pairs: of another image at random, or the most similar of 64
    #[arg(long, value_name = "CHOICE", default_value = "random")]
    pub negatives: Negatives,
    /// Also draw the reliability diagram into this SVG file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the temperature into the checkpoint's folder (calibration.json), so that its P(match) is
    /// calibrated from then on
    #[arg(long)]
    pub store: bool,
}

#[derive(Debug, ClapArgs)]
pub struct EvalNlvrArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub data: StatementArgs,
}
