//! `capfilt lineage`: where a trained model comes from.

use crate::{
    args::LineageArgs,
    exit::{Blame as _, Ending, Exit},
};
use anyhow::anyhow;
use capfilt_train::lineage::Lineage;

pub fn run(args: &LineageArgs) -> Ending {
    let file = if args.file.is_dir() { args.file.join("model.safetensors") } else { args.file.clone() };
    let lineage = Lineage::read(&file).usage()?;
    let unknown = || anyhow!("{} carries no lineage: it was not written by `capfilt train`", file.display());
    let lineage = lineage.ok_or_else(unknown).usage()?;
    if args.json {
        println!("{}", serde_json::to_string(&lineage).usage()?);
    } else {
        println!("{}", lineage.describe());
    }
    Ok(Exit::Done)
}
