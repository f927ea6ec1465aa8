//! Arguments of the commands that write data sets.

use capfilt_schemas::{export::Format, settings::training_data::Texts};
use capfilt_world::{files::MOST_CAPTIONS, scene::MOST_OBJECTS};
use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("sources").required(true).multiple(true)))]
pub struct ExportArgs {
    /// Files of pairs that people wrote, or a folder or prefix with them; may be given several times
    #[arg(long, value_name = "URL", group = "sources")]
    pub human: Vec<String>,
    /// A finished cleaning job, read by its newest manifest; may be given several times
    #[arg(long, value_name = "URL", group = "sources")]
    pub job: Vec<String>,
    /// Where the files go; export.json is written there last
    #[arg(long, value_name = "URL")]
    pub to: String,
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// Which of the texts that a job kept of an image
    #[arg(long, value_enum, default_value = "both")]
    pub texts: ExportTexts,
    /// Column of --human with the row's own name
    #[arg(long, value_name = "COLUMN", default_value = "key")]
    pub key: String,
    /// Column of --human with the image: bytes, Hugging Face's struct{bytes, path}, or a path below the URL
    #[arg(long, value_name = "COLUMN", default_value = "jpg")]
    pub image: String,
    /// Column of --human with the text
    #[arg(long, value_name = "COLUMN", default_value = "caption")]
    pub text: String,
    /// Rows of --human to take: "width >= 224"
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// Images of one file, in MiB; memory is about twice that
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub file_mib: u64,
    /// Print the record as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One row a pair, with Hugging Face's image column
    Parquet,
    /// Tar files
    Webdataset,
    /// BLIP's JSON lists, with each image as a file
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportTexts {
    /// Every kept text is a pair of its own
    Both,
    Web,
    Synthetic,
    /// Of each image the text that matches best
    Score,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Parquet => Self::Parquet,
            ExportFormat::Webdataset => Self::Webdataset,
            ExportFormat::Json => Self::Json,
        }
    }
}

impl From<ExportTexts> for Texts {
    fn from(texts: ExportTexts) -> Self {
        match texts {
            ExportTexts::Both => Self::Both,
            ExportTexts::Web => Self::Web,
            ExportTexts::Synthetic => Self::Synthetic,
            ExportTexts::Score => Self::Score,
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct DemoArgs {
    /// Write image-text pairs as Parquet files into this folder
    #[arg(long, value_name = "FOLDER", group = "what")]
    pub make_data: Option<PathBuf>,
    /// Write the tokenizer of the pairs' words into this folder
    #[arg(long, value_name = "FOLDER", group = "what")]
    pub make_vocabulary: Option<PathBuf>,
    /// Say how true the verdicts of the job at this URL are, which read files of --make-data
    #[arg(long, value_name = "JOB", group = "what", requires = "input")]
    pub truth: Option<String>,
    #[command(flatten)]
    pub data: DemoDataArgs,
    /// Files that the job of --truth read, or folders with them
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["make_data", "make_vocabulary"])]
    pub input: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["make_data", "make_vocabulary"])]
    pub json: bool,
}

/// What --make-data makes.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Data")]
pub struct DemoDataArgs {
    /// human: every text is true. web: 40 % true, 25 % with one thing wrong, 20 % of another picture, 15 % junk
    #[arg(long, default_value = "web", conflicts_with_all = ["make_vocabulary", "truth"])]
    pub kind: DemoKind,
    /// Pictures
    #[arg(long, value_name = "N", default_value_t = 2400, value_parser = clap::value_parser!(u64).range(1..1_000_000_000), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub scenes: u64,
    /// Texts of each picture, each in a row of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_CAPTIONS), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub captions_per_scene: u64,
    /// So many pictures after one another show one scene, changed in one thing: a text of one is just not true of the others
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub alike: u64,
    /// In what they differ: anything, or only places, where every picture shows two shapes, in four at most
    #[arg(long, default_value = "anything", conflicts_with_all = ["make_vocabulary", "truth"])]
    pub vary: DemoVary,
    /// Shapes in a picture at most; with one there is no left and right to learn
    #[arg(long, value_name = "N", default_value_t = MOST_OBJECTS, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_OBJECTS)), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub objects: u8,
    /// Side of the pictures in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 96, value_parser = clap::value_parser!(u16).range(16..=1024), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub side: u16,
    /// Rows of a file
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub file_rows: u64,
    /// Rows of a row group
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=100_000), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub group_rows: u64,
    /// Equal seeds make equal files, other seeds other pictures
    #[arg(long, default_value_t = 0, conflicts_with_all = ["make_vocabulary", "truth"])]
    pub seed: u64,
    /// Also write the first pictures as one PNG, to look at
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["make_vocabulary", "truth"])]
    pub contact_sheet: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoVary {
    Anything,
    Places,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoKind {
    Human,
    Web,
}
