//! Arguments of the commands `train`, `bootstrap` and `lineage`.

use capfilt_schemas::settings::train::Task;
use std::path::PathBuf;

/// A training run.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// Training task
    #[arg(value_enum)]
    pub task: Task,
    /// Settings file of the run; `capfilt init --print-all TASK` explains every key
    #[arg(short, long)]
    pub config: PathBuf,
    /// Override a setting: -s optimizer.learning_rate=1e-4
    #[arg(short = 's', long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

/// A bootstrap loop.
#[derive(Debug, clap::Args)]
pub struct BootstrapArgs {
    /// Settings file of the loop; `capfilt init --print-all loop` explains every key
    #[arg(short, long)]
    pub config: PathBuf,
    /// Override a setting: -s loop.rounds=2
    #[arg(short = 's', long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

/// A trained model.
#[derive(Debug, clap::Args)]
pub struct LineageArgs {
    /// Path of a model.safetensors that `capfilt train` wrote, or its folder
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
