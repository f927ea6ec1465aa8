//! `capfilt bench`: speed of one stage of a job on this machine.

mod batch;
mod decode;
mod floors;
mod model;

use crate::args::BenchCommand;
use capfilt_console::Ending;

pub async fn run(command: &BenchCommand) -> Ending {
    match command {
        BenchCommand::Model(args) => model::run(args),
        BenchCommand::Batch(args) => batch::run(args).await,
        BenchCommand::Decode(args) => decode::run(args),
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
