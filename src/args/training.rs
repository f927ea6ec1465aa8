//! Arguments of the commands that train, and of what tells where a model comes from.

use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

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
pub struct LineageArgs {
    /// A model.safetensors of `capfilt train`, or the folder with it
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
