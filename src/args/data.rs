//! Arguments of the commands that write data sets.

use capfilt_demo_data::{files::MOST_CAPTIONS, scene::MOST_OBJECTS};
use capfilt_schemas::{
    export::{Format, Per},
    settings::training_data::Texts,
};
use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("sources").required(true).multiple(true)))]
pub struct ExportArgs {
    /// Parquet file of human-written pairs, or a folder or prefix of such files; repeatable
    #[arg(long, value_name = "URL", group = "sources")]
    pub human: Vec<String>,
    /// URL of a finished cleaning job; its newest manifest is read; repeatable
    #[arg(long, value_name = "URL", group = "sources")]
    pub job: Vec<String>,
    /// URL of the export: its files are in data/, and its record is export.json, which is written last
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Format of the files
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

/// Choice and order of the samples.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Samples")]
pub struct ExportSampleArgs {
    /// Kept texts of a job to export
    #[arg(long, value_enum, default_value = "both", requires = "job")]
    pub texts: ExportTexts,
    /// Least match probability of an exported text of a job
    #[arg(long, value_name = "P", requires = "job", value_parser = probability)]
    pub min_itm: Option<f32>,
    /// One sample per text, or one per image with all texts of the image
    #[arg(long, value_enum, default_value = "text")]
    pub per: ExportPer,
    /// Seed of the random order of all samples (40 bytes of memory per pair); off: the order of the sources
    #[arg(long, value_name = "SEED|off", default_value = "0", value_parser = shuffle)]
    pub shuffle: Shuffle,
    /// Clean the texts as BLIP's training does: lower case, without . ! " ( ) * # : ; ~, at most 30 words; by
    /// default texts are unchanged
    #[arg(long)]
    pub clean_text: bool,
}

/// Columns of human pairs.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Columns of --human")]
pub struct ExportColumnArgs {
    /// Column with the key of the row [default: key, if the input has this column]
    #[arg(long, value_name = "COLUMN", requires = "human")]
    pub key: Option<String>,
    /// Column with the image: bytes, Hugging Face's struct{bytes, path}, or a path below the input's URL
    #[arg(long, value_name = "COLUMN", default_value = "jpg", requires = "human")]
    pub image: String,
    /// Column with the text
    #[arg(long, value_name = "COLUMN", default_value = "caption", requires = "human")]
    pub text: String,
    /// Condition of the rows to export: "width >= 224"
    #[arg(long = "where", value_name = "CONDITION", requires = "human")]
    pub filter: Option<String>,
    /// Column to copy to each sample, as `url` always is; repeatable
    #[arg(long, value_name = "COLUMN", requires = "human")]
    pub passthrough: Vec<String>,
}

/// Number and size of the files.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Files")]
pub struct ExportFileArgs {
    /// Number of files [default: follows from --file-mib, and at least 16 if each file has at least 8
    /// samples]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub files: Option<u32>,
    /// Size of the images in one file, in MiB
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 256,
        value_parser = clap::value_parser!(u64).range(1..=4096)
    )]
    pub file_mib: u64,
    /// Prefix of the image paths in the lists of --format json and llava, such as the absolute path of
    /// TO/data; without a prefix the paths are relative to the list
    #[arg(long, value_name = "PATH", default_value = "")]
    pub image_root: String,
    /// Text file with the instructions of --format llava, one per line; each image has one of them
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
    /// Local folder for samples that are read but not yet written; it grows to the size of all images
    /// [default: in TO; for a bucket, the system's temporary folder]
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
}

/// Seed of the random order; `None`: the order of the sources.
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
    /// Parquet files: one row per sample, with Hugging Face's image column
    Parquet,
    /// Tar files: `.jpg`, `.txt` and `.json` per sample; the bytes of the image are unchanged, in any format
    Webdataset,
    /// BLIP's JSON lists, and one file per image
    Json,
    /// LLaVA's JSON lists of conversations, and one file per image
    Llava,
    /// metadata.jsonl for Hugging Face's imagefolder, and per image one file and a .txt file with its texts,
    /// as kohya's scripts and SimpleTuner read them; one sample per image
    Imagefolder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportTexts {
    /// All kept texts, each as a separate pair
    Both,
    Web,
    Synthetic,
    /// The text with the highest match probability of each image
    Score,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Parquet => Self::Parquet,
            ExportFormat::Webdataset => Self::Webdataset,
            ExportFormat::Json => Self::Json,
            ExportFormat::Llava => Self::Llava,
            ExportFormat::Imagefolder => Self::Imagefolder,
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
#[command(group(clap::ArgGroup::new("what")))]
pub struct DemoArgs {
    /// Without other options: make data and settings in this folder, clean the data with the demo's models,
    /// and report how many verdicts are correct [default: capfilt-demo]
    pub folder: Option<PathBuf>,
    /// Write image-text pairs as Parquet files into this folder
    #[arg(long, value_name = "FOLDER", group = "what")]
    pub make_data: Option<PathBuf>,
    /// Write the tokenizer for the words of these pairs into this folder
    #[arg(long, value_name = "FOLDER", group = "what")]
    pub make_vocabulary: Option<PathBuf>,
    /// Report how many verdicts of the job at this URL are correct; the job's input is from --make-data
    #[arg(long, value_name = "JOB", group = "what", requires = "input")]
    pub truth: Option<String>,
    #[command(flatten)]
    pub data: DemoDataArgs,
    /// Input files of the job of --truth, or folders of these files
    #[arg(
        long,
        value_name = "FILE",
        num_args = 1..,
        requires = "truth",
        conflicts_with_all = ["make_data", "make_vocabulary"]
    )]
    pub input: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long, requires = "truth", conflicts_with_all = ["make_data", "make_vocabulary"])]
    pub json: bool,
}

impl DemoArgs {
    /// Whether the command makes data and cleans it, and so needs devices.
    pub fn is_whole(&self) -> bool {
        self.make_data.is_none() && self.make_vocabulary.is_none() && self.truth.is_none()
    }
}

/// Properties of the data of --make-data.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Data")]
pub struct DemoDataArgs {
    /// human: all texts are true. web: 40 % of the texts are true, 25 % have one error, 20 % belong to
    /// another picture, 15 % are junk
    #[arg(
        long,
        default_value = "web",
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub kind: DemoKind,
    /// Number of pictures
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2400,
        value_parser = clap::value_parser!(u64).range(1..1_000_000_000),
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub scenes: u64,
    /// Texts per picture, one row per text
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=MOST_CAPTIONS),
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub captions_per_scene: u64,
    /// Number of consecutive pictures that show one scene with one difference: the text of one picture is
    /// false for the other pictures of the scene (hard negatives)
    #[arg(
        long = "alike",
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=1000),
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub family_size: u64,
    /// Difference between the pictures of one scene: anything, or only places (each picture shows two shapes,
    /// in at most four arrangements)
    #[arg(
        long,
        default_value = "anything",
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub vary: DemoVary,
    /// Largest number of shapes in a picture; with 1 the data has no left and right to learn
    #[arg(
        long,
        value_name = "N",
        default_value_t = MOST_OBJECTS,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_OBJECTS)),
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub objects: u8,
    /// Side of the pictures, in pixels
    #[arg(
        long,
        value_name = "PIXELS",
        default_value_t = 96,
        value_parser = clap::value_parser!(u16).range(16..=1024),
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub side: u16,
    /// Rows per file
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20_000,
        value_parser = clap::value_parser!(u64).range(1..),
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub file_rows: u64,
    /// Rows per row group
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2000,
        value_parser = clap::value_parser!(u64).range(1..=100_000),
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub group_rows: u64,
    /// Seed of the data: the same seed gives the same files
    #[arg(
        long,
        default_value_t = 0,
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub seed: u64,
    /// Also write the first pictures into one PNG file, for people to view
    #[arg(
        long,
        value_name = "FILE.png",
        requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
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
