//! The command line.

mod bench;
mod data;
mod eval;
mod jobs;
mod models;

pub use bench::*;
pub use data::*;
pub use eval::*;
pub use jobs::*;
pub use models::*;

pub use capfilt_runtime::{
    model_arguments::{CaptionArgs, ScoreArgs},
    training_arguments::{BootstrapArgs, LineageArgs, TrainArgs},
};

use capfilt_console::{LogFormat, reexec::Uses};
use capfilt_report::arguments::ReportArgs;
use capfilt_runtime::{batch_size::SettingsFile, recut::RecutArgs};
use capfilt_serve::arguments::{ControlArgs, ExplainArgs, ServeArgs};
use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// Clean web image-text data with BLIP's CapFilt: a captioner writes a text per image, a filter drops texts
/// that do not match.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done · 1 done with quarantine · 2 usage or settings · 3 environment · \
        130 interrupted"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Format of the log on standard error; CAPFILT_LOG=info or =debug logs more
    #[arg(long, global = true, default_value = "text")]
    pub log_format: LogFormat,
    /// Shut down cleanly when standard input ends
    #[arg(long, global = true, hide = true)]
    pub end_with_parent: bool,
    /// Exit at once when the process with this id is no longer the parent
    #[arg(long, global = true, hide = true, value_name = "PID")]
    pub parent: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the columns of an input and write the settings of a job over it
    Init(InitArgs),
    /// Show the plan of a job: files, shards, rows, warnings. Writes nothing
    Plan(PlanArgs),
    /// Plan the job if needed, and process all shards; a repeated run resumes
    Run(RunArgs),
    /// Process open shards of a planned job on this machine, without planning and without the manifest
    Worker(WorkerArgs),
    /// Show the progress of a job, read from its bucket; with --cluster also the current work of the workers
    Status(StatusArgs),
    /// Retry quarantined rows and shards of a job; writes a new version of the manifest
    Retry(RetryArgs),
    /// List the result files of a job, one per line: Parquet files, or tars of pairs, for DuckDB, polars,
    /// pyarrow, `datasets`, webdataset
    Files(FilesArgs),
    /// Show everything that a job recorded about a row: texts, scores, verdicts, attempt, models
    Explain(ExplainArgs),
    /// Cut a job again with other thresholds and rules, without a model: counts first, then a named version
    Recut(RecutArgs),
    /// Write one page that shows what a job kept, and why: counts, thresholds, pictures, drift
    Report(ReportArgs),
    /// Pause, resume or drain a job; the request stays until the next one
    Control(ControlArgs),
    /// Serve a live page of a job: progress, texts, search, and with a token its controls
    Serve(ServeArgs),
    /// List objects that no commit names, and with --delete delete them; safe while workers run
    Gc(GcArgs),
    /// Check the results of a job: each input row occurs once, each object is unchanged since its commit
    Verify(VerifyArgs),
    /// Check bucket, weights, device and settings before a job
    Check(CheckArgs),
    /// Compute match probability, cosine and CLIP score of images and texts
    Score(ScoreArgs),
    /// Write captions for images
    Caption(CaptionArgs),
    /// Answer questions about images
    Answer(AnswerArgs),
    /// Measure the speed of this machine: models, batch size or decoding
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Pre-train MED, or fine-tune it to a filter or a captioner; a repeated run resumes
    Train(TrainArgs),
    /// Run the bootstrap loop: pre-train, fine-tune filter and captioner, clean, repeat; a repeated run
    /// resumes
    Bootstrap(BootstrapArgs),
    /// Write human pairs and the kept pairs of cleaning jobs as one data set for other trainers, each pair
    /// once
    Export(ExportArgs),
    /// Evaluate a filter by retrieval, a captioner by BLEU and CIDEr-D, an answerer by VQA accuracy, or a
    /// reasoner about pairs of images by accuracy
    Eval(EvalArgs),
    /// Show the origin of a trained model: data, settings, parents
    Lineage(LineageArgs),
    /// Clean generated pictures whose captions are known to be true or false, and report the accuracy of the
    /// verdicts; or only generate them, or only report
    Demo(DemoArgs),
    /// Print completions for a shell: `capfilt completions bash > /etc/bash_completion.d/capfilt`
    Completions(CompletionsArgs),
    /// Write pages of the manual into a folder: `capfilt man /usr/local/share/man/man1`
    Man(ManArgs),
    /// Worker process of one device; `run` and `worker` start it and control it through its pipes
    #[command(hide = true)]
    Device(DeviceArgs),
}

impl Command {
    /// Use of devices and models by this process.
    pub fn uses(&self) -> Uses {
        match self {
            Self::Plan(args) if args.calibrate <= 0.0 => Uses::Nothing,
            Self::Verify(args) if args.recompute == 0 => Uses::Nothing,
            Self::Init(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Status(_)
            | Self::Files(_)
            | Self::Explain(_)
            | Self::Recut(_)
            | Self::Report(_)
            | Self::Control(_)
            | Self::Serve(_)
            | Self::Gc(_)
            | Self::Export(_)
            | Self::Lineage(_) => Uses::Nothing,
            Self::Demo(args) if !args.is_whole() => Uses::Nothing,
            Self::Verify(_)
            | Self::Device(_)
            | Self::Score(_)
            | Self::Caption(_)
            | Self::Answer(_)
            | Self::Bench(_)
            | Self::Train(_)
            | Self::Eval(_) => Uses::Models,
            _ => Uses::Devices,
        }
    }

    /// Arguments that name a checkpoint by path or URL; a URL is replaced by the path of a local copy before
    /// the command runs.
    pub fn checkpoints(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Score(args) => {
                [&mut args.model.checkpoint.model].into_iter().chain(&mut args.clip).collect()
            }
            Self::Caption(args) => vec![&mut args.model.checkpoint.model],
            Self::Answer(args) => vec![&mut args.model.checkpoint.model],
            Self::Eval(args) => match &mut args.what {
                EvalWhat::Retrieval(args) => vec![&mut args.checkpoint.model],
                EvalWhat::Caption(args) => vec![&mut args.checkpoint.model],
                EvalWhat::Vqa(args) => vec![&mut args.checkpoint.model],
                EvalWhat::VideoRetrieval(args) => vec![&mut args.of.checkpoint.model],
                EvalWhat::VideoQa(args) => vec![&mut args.of.checkpoint.model],
                // `--store` writes into the folder itself, not into a copy of it.
                EvalWhat::Calibration(args) if args.store => vec![],
                EvalWhat::Calibration(args) => vec![&mut args.checkpoint.model],
                EvalWhat::Nlvr(args) => vec![&mut args.checkpoint.model],
            },
            Self::Bench(BenchCommand::Model(args)) => vec![&mut args.trial.captioner, &mut args.trial.filter],
            Self::Lineage(args) => vec![&mut args.file],
            _ => vec![],
        }
    }
}

/// Whether the command line requests `--version`; `-V` is one line.
pub fn is_version_with_details(requested: &clap::Error) -> bool {
    requested.kind() == clap::error::ErrorKind::DisplayVersion
        && std::env::args_os().any(|word| word == "--version")
}

#[derive(Debug, ClapArgs)]
pub struct SettingsArgs {
    /// Settings file of the job; `capfilt init --print-all job` explains every key
    #[arg(short, long)]
    pub config: PathBuf,
    /// Override a setting: -s filter.web_threshold=0.6
    #[arg(short = 's', long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
}

impl SettingsArgs {
    /// The settings file for a process that reads it again.
    pub fn file(&self) -> SettingsFile<'_> {
        SettingsFile { path: &self.config, overrides: &self.overrides }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| format!("{text} is not a number of seconds from 0 to 86,400 (one day)"))
}

#[derive(Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// Shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, ClapArgs)]
pub struct ManArgs {
    /// Folder of the pages; it is created
    pub folder: PathBuf,
}
