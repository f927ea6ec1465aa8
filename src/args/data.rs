//! Arguments of the commands that write data sets.

use capfilt_schemas::{
    export::{Format, Per},
    settings::training_data::Texts,
};
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
    /// Where the export goes: files into data/, and export.json beside it, last
    #[arg(long, value_name = "URL")]
    pub to: String,
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    #[command(flatten)]
    pub samples: ExportSampleArgs,
    #[command(flatten)]
    pub columns: ExportColumnArgs,
    #[command(flatten)]
    pub files: ExportFileArgs,
    /// Print the record as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What is a sample, and in which order.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Samples")]
pub struct ExportSampleArgs {
    /// Which of the texts that a job kept of an image
    #[arg(long, value_enum, default_value = "both", requires = "job")]
    pub texts: ExportTexts,
    /// Texts of a job with a lower P(match) are left out
    #[arg(long, value_name = "P", requires = "job", value_parser = probability)]
    pub min_itm: Option<f32>,
    /// One sample for each text, or for each image with all of its texts
    #[arg(long, value_enum, default_value = "text")]
    pub per: ExportPer,
    /// Order all samples by this seed; off: in the order of the sources (40 bytes of memory a pair)
    #[arg(long, value_name = "SEED|off", default_value = "0", value_parser = shuffle)]
    pub shuffle: Shuffle,
    /// Write texts as BLIP trains on them: lower case, no . ! " ( ) * # : ; ~, 30 words; by default they are
    /// as they came
    #[arg(long)]
    pub clean_text: bool,
}

/// Columns of human pairs.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Columns of --human")]
pub struct ExportColumnArgs {
    /// Column with the row's own name [default: key, where there is one]
    #[arg(long, value_name = "COLUMN", requires = "human")]
    pub key: Option<String>,
    /// Column with the image: bytes, Hugging Face's struct{bytes, path}, or a path below the URL
    #[arg(long, value_name = "COLUMN", default_value = "jpg", requires = "human")]
    pub image: String,
    /// Column with the text
    #[arg(long, value_name = "COLUMN", default_value = "caption", requires = "human")]
    pub text: String,
    /// Rows to take: "width >= 224"
    #[arg(long = "where", value_name = "CONDITION", requires = "human")]
    pub filter: Option<String>,
    /// Column to hand on with each sample, as `url` always is; may be given several times
    #[arg(long, value_name = "COLUMN", requires = "human")]
    pub passthrough: Vec<String>,
}

/// How samples are spread over files.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Files")]
pub struct ExportFileArgs {
    /// Number of files; by default as --file-mib makes it, and 16 at least where each gets 8 samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub files: Option<u32>,
    /// Images of one file, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub file_mib: u64,
    /// Path before each image's in the lists of --format json, such as the absolute one of TO/data; without
    /// it they are relative to the list
    #[arg(long, value_name = "PATH", default_value = "")]
    pub image_root: String,
    /// Folder of this machine for what was read and is not written yet, as large as the images [default: in
    /// TO, or for a bucket in the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
}

/// Seed of the order, if there is to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shuffle(pub Option<u64>);

fn shuffle(text: &str) -> Result<Shuffle, String> {
    let seed = if text == "off" {
        None
    } else {
        Some(text.parse().map_err(|_| "a whole number, or off".to_owned())?)
    };
    Ok(Shuffle(seed))
}

fn probability(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 1".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportPer {
    Text,
    Image,
}

impl From<ExportPer> for Per {
    fn from(per: ExportPer) -> Self {
        match per {
            ExportPer::Text => Self::Text,
            ExportPer::Image => Self::Image,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One row a sample, with Hugging Face's image column
    Parquet,
    /// Tar files, with a `.jpg`, `.txt` and `.json` of each sample; the image is as it came, in any format
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
    /// human: every text is true. web: 40 % true, 25 % with one thing wrong, 20 % of another picture, 15 %
    /// junk
    #[arg(long, default_value = "web", conflicts_with_all = ["make_vocabulary", "truth"])]
    pub kind: DemoKind,
    /// Pictures
    #[arg(long, value_name = "N", default_value_t = 2400, value_parser = clap::value_parser!(u64).range(1..1_000_000_000), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub scenes: u64,
    /// Texts of each picture, each in a row of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_CAPTIONS), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub captions_per_scene: u64,
    /// So many pictures after one another show one scene, changed in one thing: a text of one is just not
    /// true of the others
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
