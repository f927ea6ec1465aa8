//! Arguments of the command line: the rows of an evaluation, and the way of answering.

use crate::{answering::Answering, error::EvaluateError};
use capfilt_blip::{BlipAnswerer, GenerationOptions, Options};
use capfilt_pipeline::{frames::Frames, input::PairColumns};
use capfilt_schemas::settings::{FrameMatching, Preset, training_data::DataSource};
use clap::{Args, value_parser};
use std::path::PathBuf;

/// Input rows of an evaluation; rows with the same image are one image with several texts.
#[derive(Debug, Args)]
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

/// Help of the column with the clips.
const CLIPS: &str = "Column with the clip, a list of encoded frames";

/// Arguments `of` an evaluation of retrieval, for clips.
#[derive(Debug, Args)]
#[command(mut_arg("image", |arg| arg.default_value("frames").help(CLIPS)))]
pub struct VideoRetrievalArgs<A: Args> {
    #[command(flatten)]
    #[allow(missing_docs)] // clap takes a doc of flattened arguments for their help
    pub of: A,
    /// Frames of each clip, sampled uniformly from the first one on
    #[arg(
        long, value_name = "N", default_value_t = 8, help_heading = "Frames",
        value_parser = value_parser!(u32).range(1..=64)
    )]
    pub frames: u32,
    /// ITM score of a text and a clip: of the tokens of all frames together as in BLIP, which needs a model
    /// that knows clips, or the highest or the mean of the frames
    #[arg(long, value_name = "HOW", default_value = "tokens", help_heading = "Frames")]
    pub matching: FrameMatching,
}

impl<A: Args> VideoRetrievalArgs<A> {
    /// Frames of each clip.
    pub fn frames(&self) -> Frames {
        Frames { count: self.frames as usize, matching: self.matching }
    }
}

/// Arguments `of` an evaluation of answers, for clips.
#[derive(Debug, Args)]
#[command(mut_arg("image", |arg| arg.default_value("frames").help(CLIPS)))]
pub struct VideoQaArgs<A: Args> {
    #[command(flatten)]
    #[allow(missing_docs)] // clap takes a doc of flattened arguments for their help
    pub of: A,
    /// Frames of each clip, sampled uniformly from the first one on
    #[arg(
        long, value_name = "N", default_value_t = 16, help_heading = "Frames",
        value_parser = value_parser!(u32).range(1..=64)
    )]
    pub frames: u32,
}

/// Rows of questions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct QuestionArgs {
    /// Parquet file, or a folder or prefix of Parquet files
    #[arg(long, value_name = "URL")]
    pub input: String,
    /// Column with the key of the row
    #[arg(long, default_value = "key")]
    pub key: String,
    /// Column with the image
    #[arg(long, default_value = "jpg")]
    pub image: String,
    /// Column with the question
    #[arg(long, value_name = "COLUMN", default_value = "question")]
    pub question: String,
    /// Column with the answers of people, a text or a list of texts; VQA has ten answers of each question
    #[arg(long, value_name = "COLUMN", default_value = "answers")]
    pub answers: String,
    /// Condition of the rows to evaluate, as in a job: "width >= 224"
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// Number of questions, from the first one on
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = value_parser!(u32).range(1..))]
    pub questions: u32,
    /// Questions per model call
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=1024))]
    pub batch: u32,
    /// Also write each answer with its question and the answers of people to this file, one JSON object per
    /// line
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Rows of statements about pairs of images.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct StatementArgs {
    /// Parquet file, or a folder or prefix of Parquet files
    #[arg(long, value_name = "URL")]
    pub input: String,
    /// Column with the key of the row
    #[arg(long, default_value = "key")]
    pub key: String,
    /// Column with the first (left) image
    #[arg(long, default_value = "jpg")]
    pub image: String,
    /// Column with the second (right) image: bytes, or Hugging Face's struct{bytes, path}
    #[arg(long, value_name = "COLUMN", default_value = "jpg2")]
    pub second_image: String,
    /// Column with the statement
    #[arg(long, value_name = "COLUMN", default_value = "statement")]
    pub statement: String,
    /// Column with the truth of the statement: a boolean, 0 and 1, or "True" and "False"
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    pub label: String,
    /// Condition of the rows to evaluate, as in a job: "width >= 224"
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// Also report the accuracy of the rows with each value of this column
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// Number of statements, from the first one on; NLVR2's test set has 6,967
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
    pub statements: u32,
    /// Statements per model call
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=1024))]
    pub batch: u32,
    /// Also write each statement with its probability and its truth to this file, one JSON object per line
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl StatementArgs {
    /// The rows as a source of training data, whose text is the statement.
    pub fn source(&self) -> DataSource {
        DataSource::of_files(&self.input, &self.key, &self.image, &self.statement, self.filter.as_deref())
    }

    /// Columns of second images and labels.
    pub fn pair(&self) -> PairColumns {
        PairColumns { second_image: self.second_image.clone(), label: self.label.clone() }
    }
}

/// Generation of answers, or the list to choose them from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answering")]
pub struct AnsweringArgs {
    /// File of possible answers, which the model ranks: one per line, or a JSON list as BLIP's
    /// answer_list.json [default: the model generates each answer by a beam search]
    #[arg(long, value_name = "FILE")]
    pub answer_list: Option<PathBuf>,
    /// Ranking: number of answers, selected by the probability of their first token, that are scored as a
    /// whole
    #[arg(long, value_name = "K", default_value_t = 128, value_parser = value_parser!(u32).range(1..))]
    pub top_k: u32,
    /// Generation: number of beams
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=64))]
    pub beams: u32,
    /// Generation: largest number of tokens, with the first and the end token
    #[arg(long, default_value_t = 10)]
    pub max_length: u32,
    /// Generation: least number of tokens, with the first and the end token
    #[arg(long, default_value_t = 1)]
    pub min_length: u32,
}

impl AnsweringArgs {
    /// The way of answering; reads the list of answers.
    ///
    /// # Errors
    /// As [`Answering::of`].
    pub fn answering(&self, answerer: &BlipAnswerer) -> Result<Answering, EvaluateError> {
        Answering::of(answerer, self.answer_list.as_deref(), self.top_k as usize)
    }

    /// Options of the beam search.
    pub fn generation(&self, preset: Preset) -> GenerationOptions {
        GenerationOptions {
            beams: self.beams as usize,
            max_length: self.max_length as usize,
            min_length: self.min_length as usize,
            ..Options::of(preset).answering()
        }
    }
}
