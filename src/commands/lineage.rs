//! `capfilt lineage`: data, settings and parents of a trained model.

use crate::args::LineageArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_train::lineage::Lineage;

pub fn run(args: &LineageArgs) -> Ending {
    let lineage = Lineage::find(&args.file).or_usage_error()?;
    if args.json {
        outln!("{}", serde_json::to_string(&lineage).or_usage_error()?);
    } else {
        outln!("{}", lineage.describe());
    }
    Ok(Exit::Done)
}
