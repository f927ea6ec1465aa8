//! The command line.

mod bench;
mod data;
mod eval;
mod jobs;
mod models;
mod training;

pub use bench::*;
pub use data::*;
pub use eval::*;
pub use jobs::*;
pub use models::*;
pub use training::*;

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// Clean web image-text data the BLIP way: a captioner writes, a filter judges, what does not match is
/// dropped.
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
    pub log_format: crate::console::LogFormat,
    /// Stop, in order, when standard input ends
    #[arg(long, global = true, hide = true)]
    pub end_with_parent: bool,
    /// End at once when this process is no longer the parent
    #[arg(long, global = true, hide = true, value_name = "PID")]
    pub parent: Option<u32>,
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
    /// List the objects that hold a job's results, one a line, for DuckDB, polars, pyarrow, `datasets`
    Files(FilesArgs),
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
    /// Make pictures whose captions are known to be true or false, to try everything on; say how true a job's
    /// verdicts are
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
            Self::Status(_)
            | Self::Files(_)
            | Self::Gc(_)
            | Self::Export(_)
            | Self::Lineage(_)
            | Self::Demo(_) => false,
            Self::Verify(args) => args.recompute > 0,
            _ => true,
        }
    }

    /// Whether this very process computes with models: a job's are in its devices' processes.
    pub fn holds_models(&self) -> bool {
        match self {
            Self::Device(_)
            | Self::Score(_)
            | Self::Caption(_)
            | Self::Bench(_)
            | Self::Train(_)
            | Self::Eval(_) => true,
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

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| format!("{text} is no number of seconds from 0 to a day"))
}
