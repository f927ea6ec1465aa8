//! The command line.

use capfilt_schemas::{export::Format, settings::training_data::Texts};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

/// Clean web image-text data the BLIP way: a captioner writes, a filter judges, what does not match is dropped.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done · 1 done with quarantine · 2 usage or settings · 3 environment · 130 interrupted"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Form of the log on standard error; CAPFILT_LOG=info or =debug says more
    #[arg(long, global = true, default_value = "text")]
    pub log_format: LogFormat,
    /// Stop, in order, when standard input ends
    #[arg(long, global = true, hide = true)]
    pub end_with_parent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a job would do: files, shards, rows, warnings. Writes nothing
    Plan(PlanArgs),
    /// Plan if needed, then work until done; running it again resumes
    Run(RunArgs),
    /// Work on a planned job's open shards from this machine, without planning or sealing it
    Worker(WorkerArgs),
    /// Say where a job stands, from its bucket alone, and with --cluster also what its workers do right now
    Status(StatusArgs),
    /// Do again what was quarantined, in the same job; the manifest gets a new version
    Retry(RetryArgs),
    /// List what no commit names, and with --delete remove it; safe while workers run
    Gc(GcArgs),
    /// Check a job's books: every row once, every object as it was committed
    Verify(VerifyArgs),
    /// Check bucket, weights, device and settings before a job
    Check(CheckArgs),
    /// P(match) and cosine of images and texts
    Score(ScoreArgs),
    /// Captions for images
    Caption(CaptionArgs),
    /// How fast this machine is at one thing: the models on ready pixels, or decoding
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Train MED, or fine-tune it to a filter or a captioner; running it again resumes
    Train(TrainArgs),
    /// Go through the loop: pre-train, filter, captioner, clean, and again; running it again resumes
    Bootstrap(BootstrapArgs),
    /// Write human pairs and what cleaning jobs kept as one data set for other trainers, each pair once
    Export(ExportArgs),
    /// How good a filter is at retrieval, or a captioner by what people said
    Eval(EvalArgs),
    /// Say where a trained model comes from: data, settings, parents
    Lineage(LineageArgs),
    /// Make pictures whose captions are known to be true or false, to try everything on; say how true a job's verdicts are
    Demo(DemoArgs),
    /// One device's process; `run` and `worker` start it and speak to it over its pipes
    #[command(hide = true)]
    Device(DeviceArgs),
}

impl Command {
    /// Whether it may ask for a device; the others are done before a GPU's libraries are loaded.
    pub fn computes(&self) -> bool {
        match self {
            Self::Plan(args) => args.calibrate > 0.0,
            Self::Status(_) | Self::Gc(_) | Self::Export(_) | Self::Lineage(_) | Self::Demo(_) => false,
            Self::Verify(args) => args.recompute > 0,
            _ => true,
        }
    }

    /// Whether this very process computes with models: a job's are in its devices' processes.
    pub fn holds_models(&self) -> bool {
        match self {
            Self::Device(_) | Self::Score(_) | Self::Caption(_) | Self::Bench(_) | Self::Train(_) | Self::Eval(_) => {
                true
            }
            Self::Verify(args) => args.recompute > 0,
            _ => false,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct SettingsArgs {
    /// Settings of the job; configs/job.toml explains every key
    #[arg(short, long)]
    pub config: PathBuf,
    /// Override a setting: -s filter.web_threshold=0.6
    #[arg(short = 's', long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Seconds this machine's first device works on some of the rows, to say how long the job will take; 0: none
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub calibrate: f64,
    /// Price of one device for an hour, in any currency, to say what the job will cost
    #[arg(long, value_name = "PRICE")]
    pub price_per_hour: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| format!("{text} is no number of seconds from 0 to a day"))
}

/// Where the cluster's queue is. User and password come from the URL or from NATS_USER and NATS_PASSWORD.
#[derive(Debug, ClapArgs)]
pub struct ClusterArgs {
    /// Share the work with other machines over NATS JetStream: nats://host:4222, several with commas
    #[arg(long, value_name = "URL")]
    pub cluster: Option<String>,
    /// NATS credentials file (.creds)
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub creds: Option<PathBuf>,
    /// PEM file of the authority that signed the NATS server's certificate; insists on TLS
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub tls_ca: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Leave what this machine's CPU says to known questions beside the captioner's checkpoint: jobs with these models hold
    /// every worker against it
    #[arg(long)]
    pub write_known_answers: bool,
}

#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print one JSON object at the end, before the manifest's URL
    #[arg(long)]
    pub json: bool,
    /// Go on although input files changed since the job was planned. The plan stays: open shards of files that were
    /// replaced or removed are set aside as quarantined, with the change as the reason; added files are named and are no
    /// part of the job; what is committed stays. Without it, a changed input is refused
    #[arg(long)]
    pub allow_changed: bool,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// How a cluster's queue is kept; for those who coordinate.
#[derive(Debug, ClapArgs)]
pub struct QueueArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Seconds after which a shard whose worker is not heard of is given to another
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(6..))]
    pub ack_wait: u64,
    /// Leave the cluster's queue when the job is done
    #[arg(long, requires = "cluster")]
    pub keep_queue: bool,
    /// Serve metrics for Prometheus there, at /metrics; port 0 takes a free one and says which
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

#[derive(Debug, ClapArgs)]
pub struct RetryArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Only rows of this status or shards of this failure class (image_unreadable, crashed, store, worker_crashed, ...);
    /// several may be given [default: everything that is quarantined]
    #[arg(long, value_name = "CLASS")]
    pub only: Vec<String>,
    /// Other limits for what is done again: -s limits.image_bytes="200 MiB"
    #[arg(short = 's', long = "set", value_name = "limits.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Only say what would be done again
    #[arg(long)]
    pub dry_run: bool,
    /// Devices, one process each; a cluster's workers have their own
    #[arg(long = "device", default_value = "auto")]
    pub devices: Vec<String>,
    /// Print one JSON object before the manifest's URL
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub queue: QueueArgs,
}

#[derive(Debug, ClapArgs)]
pub struct GcArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Delete what is listed; without it nothing is touched
    #[arg(long)]
    pub delete: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct WorkerArgs {
    /// URL of a planned job
    #[arg(long)]
    pub job: String,
    /// Devices, one process each
    #[arg(long = "device", default_value = "auto")]
    pub devices: Vec<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
    /// Only the i-th of n parts of the plan, from 0, for schedulers that start an array of workers
    #[arg(long, value_name = "I/N", default_value = "0/1", conflicts_with = "cluster")]
    pub part: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// After SIGTERM or Ctrl-C, seconds in which a shard may be finished that will be by then; all others are given back
    /// at once. 0 finishes none. Stay below the scheduler's own patience (Slurm and Kubernetes: 30). A second signal gives
    /// everything back
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// Serve metrics for Prometheus there, at /metrics; port 0 takes a free one and says which
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    #[arg(long)]
    pub job: String,
    #[arg(long)]
    pub json: bool,
    /// Show it again every two seconds until the job is done
    #[arg(long)]
    pub watch: bool,
    /// With it, also what the workers do right now
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    #[arg(long)]
    pub job: String,
    #[arg(long)]
    pub json: bool,
    /// Also judge about N rows again with the job's models, spread over its shards, and compare
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub recompute: u64,
    /// Do not compare the input's files with those that were planned
    #[arg(long)]
    pub allow_changed: bool,
    /// Where to compute them: cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_med::DeviceChoice,
}

#[derive(Debug, ClapArgs)]
pub struct ModelArgs {
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// An image file; several may be given
    #[arg(long = "image", required = true)]
    pub images: Vec<PathBuf>,
    /// Print one JSON object per image
    #[arg(long)]
    pub json: bool,
}

/// A model and how it computes.
#[derive(Debug, ClapArgs)]
pub struct CheckpointArgs {
    /// Folder of the checkpoint in Hugging Face's layout, or an original .pth file
    #[arg(long)]
    pub model: PathBuf,
    /// Whose behaviour: original (BLIP, LAVIS) or hf (transformers)
    #[arg(long, default_value = "original")]
    pub preset: capfilt_med::Preset,
    /// f32, bf16, f16 or auto
    #[arg(long, default_value = "auto")]
    pub precision: capfilt_med::PrecisionChoice,
    /// cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_med::DeviceChoice,
}

#[derive(Debug, ClapArgs)]
pub struct ScoreArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A text to judge; several may be given
    #[arg(long = "text", required = true)]
    pub texts: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Method {
    Greedy,
    Nucleus,
    Beam,
}

/// How captions are written.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Decoding")]
pub struct GenerationArgs {
    /// How to decode [default: nucleus for the original preset, greedy for hf; `eval` searches with beams, as the paper does]
    #[arg(long)]
    pub method: Option<Method>,
    #[arg(long, default_value_t = 3)]
    pub beams: usize,
    /// Put before the caption, and cut off again; '' for none [default: the preset's]
    #[arg(long)]
    pub prompt: Option<String>,
    /// Ids, prompt and end included [default: the preset's]
    #[arg(long)]
    pub max_length: Option<usize>,
    /// Ids, prompt and end included [default: the preset's]
    #[arg(long)]
    pub min_length: Option<usize>,
    #[arg(long, default_value_t = 0.9)]
    pub top_p: f64,
    #[arg(long, default_value_t = 50)]
    pub top_k: usize,
    /// [default: 1.1 for nucleus sampling with the original preset, else 1]
    #[arg(long)]
    pub repetition_penalty: Option<f64>,
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(Debug, ClapArgs)]
pub struct CaptionArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub generation: GenerationArgs,
    #[arg(long, default_value_t = 1)]
    pub num_captions: usize,
    /// Also print what each word of one sampled caption was drawn from: [[id, probability], ...], likeliest first
    #[arg(long, requires = "json", conflicts_with = "num_captions")]
    pub candidates: bool,
}

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

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// How fast the device captions and judges ready pixels, beside what it could do at most
    Model(BenchModelArgs),
    /// How fast one core decodes pictures and squashes them to the models' side
    Decode(BenchDecodeArgs),
}

#[derive(Debug, ClapArgs)]
pub struct BenchDecodeArgs {
    /// A folder of images
    #[arg(long)]
    pub images: PathBuf,
    /// Side of the models' images, in pixels
    #[arg(long, default_value_t = 384)]
    pub side: u32,
    /// As with input.jpeg_reduction = true; also says how far the pixels are from the exact ones
    #[arg(long)]
    pub reduced: bool,
    /// How long to go on
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchModelArgs {
    /// The captioner's checkpoint
    #[arg(long)]
    pub captioner: PathBuf,
    /// The filter's checkpoint
    #[arg(long)]
    pub filter: PathBuf,
    /// A folder of images
    #[arg(long)]
    pub images: PathBuf,
    /// A file with one web text a line; there is a row for each, and images are used again when there are fewer
    #[arg(long)]
    pub texts: PathBuf,
    /// Images per model call
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Ids of the shortest caption; 20 makes all captions equally long, so that programs can be compared
    #[arg(long, default_value_t = 5)]
    pub min_length: usize,
    /// Threads libtorch computes with [default: as many as there are cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Times all rows are judged; the median counts
    #[arg(long, default_value_t = 3)]
    pub repeats: usize,
    /// f32, bf16, f16 or auto
    #[arg(long, default_value = "auto")]
    pub precision: capfilt_med::PrecisionChoice,
    /// cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_med::DeviceChoice,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceArgs {
    #[arg(long)]
    pub job: String,
    #[arg(long)]
    pub device: String,
    /// Name in commits and failures
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub model_threads: usize,
    #[arg(long)]
    pub decode_threads: usize,
}

#[derive(Debug, ClapArgs)]
pub struct TrainArgs {
    #[arg(value_enum)]
    pub task: TrainTask,
    /// Settings of the run; configs/train/ explains every key
    #[arg(short, long)]
    pub config: PathBuf,
    /// Override a setting: -s optimizer.learning_rate=1e-4
    #[arg(short = 's', long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrainTask {
    /// Contrast, matching and language model on human and web pairs
    Pretrain,
    /// Contrast and matching
    Filter,
    /// Language model
    Captioner,
}

#[derive(Debug, ClapArgs)]
pub struct BootstrapArgs {
    /// Settings of the loop; configs/loop.toml explains every key
    #[arg(short, long)]
    pub config: PathBuf,
    /// Override a setting: -s loop.rounds=2
    #[arg(short = 's', long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

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
pub struct LineageArgs {
    /// A model.safetensors of `capfilt train`, or the folder with it
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
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
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=capfilt_world::files::MOST_CAPTIONS), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub captions_per_scene: u64,
    /// So many pictures after one another show one scene, changed in one thing: a text of one is just not true of the others
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000), conflicts_with_all = ["make_vocabulary", "truth"])]
    pub alike: u64,
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
pub enum DemoKind {
    Human,
    Web,
}
