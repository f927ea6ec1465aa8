//! Arguments of the commands `train`, `bootstrap` and `lineage`.

use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub struct TrainArgs {
    /// Training task
    #[arg(value_enum)]
    pub task: TrainTask,
    /// Settings file of the run; configs/train/ explains every key
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
    /// Train with ITC, ITM and LM losses on human and web pairs
    Pretrain,
    /// Fine-tune with ITC and ITM losses
    Filter,
    /// Fine-tune with the LM loss
    Captioner,
}

#[derive(Debug, ClapArgs)]
pub struct BootstrapArgs {
    /// Settings file of the loop; configs/loop.toml explains every key
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
    /// Path of a model.safetensors that `capfilt train` wrote, or its folder
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
