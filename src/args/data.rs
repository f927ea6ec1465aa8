//! Arguments of the commands that write data sets.

use capfilt_demo_data::files::Order;
use capfilt_schemas::{
    cut::CutName,
    export::{Format, Per},
    settings::training_data::Texts,
};
use clap::{Args as ClapArgs, value_parser};
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
    /// Name of a cut of each job, instead of the job's own pairs
    #[arg(long, value_name = "NAME", requires = "job")]
    pub cut: Option<CutName>,
    /// URL of the export: its files are in data/, and its record is export.json, which is written last
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Format of the files
    #[arg(long, value_enum)]
    pub format: Format,
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
    pub texts: Texts,
    /// Least match probability of an exported text of a job
    #[arg(long, value_name = "P", requires = "job", value_parser = probability)]
    pub min_itm: Option<f32>,
    /// One sample per text, or one per image with all texts of the image
    #[arg(long, value_enum, default_value = "text")]
    pub per: Per,
    /// Seed of the random order of all samples (40 bytes of memory per pair); off: the order of the sources
    #[arg(long, value_name = "SEED|off", default_value = "0", value_parser = shuffle)]
    pub shuffle: Shuffle,
    /// List of rows to leave out: a text with a URL, the key of a row or the SHA-256 of an image per line, or
    /// a table (Parquet, .csv, .tsv) with columns of the names url, key or sha256; repeatable
    #[arg(long, value_name = "FILE")]
    pub exclude: Vec<PathBuf>,
    /// Export only the first of several images whose perceptual hashes differ in at most N of 64 bits (50 to
    /// 72 bytes of memory per image)
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=16))]
    pub dedup_images: Option<u32>,
    /// Pass-through column with the licence of the image; the record and the dataset card have the number of
    /// samples of each licence
    #[arg(long, value_name = "COLUMN", visible_alias = "license-column")]
    pub licence_column: Option<String>,
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
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub files: Option<u32>,
    /// Size of the images in one file, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = value_parser!(u64).range(1..=4096))]
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
    pub data: Order,
    /// Also write the first pictures into one PNG file, for people to view
    #[arg(
        long, value_name = "FILE.png", help_heading = "Data", requires = "make_data",
        conflicts_with_all = ["make_vocabulary", "truth"]
    )]
    pub contact_sheet: Option<PathBuf>,
    /// Input files of the job of --truth, or folders of these files
    #[arg(
        long, value_name = "FILE", num_args = 1.., requires = "truth",
        conflicts_with_all = ["make_data", "make_vocabulary"]
    )]
    pub input: Vec<PathBuf>,
    /// Also write the truth of every text of the job of --truth into this file, for `capfilt report --truth`
    #[arg(long, value_name = "FILE.parquet", requires = "truth")]
    pub truth_table: Option<PathBuf>,
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
