//! `capfilt bench`: speed of one stage of a job on this machine.

mod batch;
mod decode;
mod model;

use crate::args::BenchCommand;
use capfilt_console::{Ending, ExitCodeExt as _, Failure};
use capfilt_measure::MeasureError;

pub async fn run(command: &BenchCommand) -> Ending {
    match command {
        BenchCommand::Model(args) => model::run(args),
        BenchCommand::Batch(args) => batch::run(args).await,
        BenchCommand::Decode(args) => decode::run(args),
    }
}

fn blamed<T>(measured: Result<T, MeasureError>) -> Result<T, Failure> {
    match measured {
        Err(error) if error.is_of_input() => Err(error).or_usage_error(),
        measured => measured.or_environment_error(),
    }
}
