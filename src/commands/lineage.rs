//! `capfilt lineage`: data, settings and parents of a trained model.

use crate::args::LineageArgs;
use anyhow::anyhow;
use capfilt_blip::weight_files::{self, WeightFiles};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_schemas::model_files::is_index;
use capfilt_train::lineage::Lineage;
use std::path::Path;

pub fn run(args: &LineageArgs) -> Ending {
    let weights =
        if args.file.is_dir() { weight_files::find(&args.file).or_usage_error()? } else { args.file.clone() };
    // If the weights are in several files, each file has the lineage of the whole.
    let file = match is_index(&weights.to_string_lossy()) {
        true => WeightFiles::open(&weights)
            .or_usage_error()?
            .paths()
            .next()
            .map(Path::to_path_buf)
            .unwrap_or(weights),
        false => weights,
    };
    let lineage = Lineage::read(&file).or_usage_error()?;
    let unknown = || anyhow!("{} has no lineage: `capfilt train` did not write it", file.display());
    let lineage = lineage.ok_or_else(unknown).or_usage_error()?;
    if args.json {
        outln!("{}", serde_json::to_string(&lineage).or_usage_error()?);
    } else {
        outln!("{}", lineage.describe());
    }
    Ok(Exit::Done)
}
