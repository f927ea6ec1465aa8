//! `capfilt lineage`: where a trained model comes from.

use crate::{
    args::LineageArgs,
    exit::{Blame as _, Ending, Exit},
};
use anyhow::anyhow;
use capfilt_med::weight_files::{self, WeightFiles};
use capfilt_schemas::model_files::is_index;
use capfilt_train::lineage::Lineage;
use std::path::Path;

pub fn run(args: &LineageArgs) -> Ending {
    let weights = if args.file.is_dir() { weight_files::find(&args.file).usage()? } else { args.file.clone() };
    // Of weights in several files, each carries what the whole had.
    let file = match is_index(&weights.to_string_lossy()) {
        true => WeightFiles::open(&weights).usage()?.paths().next().map(Path::to_path_buf).unwrap_or(weights),
        false => weights,
    };
    let lineage = Lineage::read(&file).usage()?;
    let unknown = || anyhow!("{} carries no lineage: it was not written by `capfilt train`", file.display());
    let lineage = lineage.ok_or_else(unknown).usage()?;
    if args.json {
        outln!("{}", serde_json::to_string(&lineage).usage()?);
    } else {
        outln!("{}", lineage.describe());
    }
    Ok(Exit::Done)
}
