//! `capfilt bench model`: speed of captioning and judging on a device, without reading, decoding and writing.

use super::blamed;
use crate::args::BenchModelArgs;
use capfilt_console::{Ending, Exit, outln};
use capfilt_measure::model_speed;

pub fn run(args: &BenchModelArgs) -> Ending {
    let speed = blamed(model_speed(&args.trial))?;
    if args.json {
        outln!("{}", speed.to_json());
    } else {
        outln!("{speed}");
    }
    Ok(Exit::Done)
}
