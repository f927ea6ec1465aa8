//! `capfilt bench model`: speed of captioning and judging on a device, without reading, decoding and writing.

use super::blamed;
use crate::args::BenchModelArgs;
use capfilt_console::{Ending, Exit, outln};
use capfilt_measure::{ModelTrial, model_speed};
use capfilt_runtime::devices;

pub fn run(args: &BenchModelArgs) -> Ending {
    let speed = blamed(model_speed(&ModelTrial {
        captioner: &args.captioner,
        filter: &args.filter,
        images: &args.images,
        texts: &args.texts,
        batch: args.batch,
        min_length: args.min_length,
        control: args.control,
        threads: args.threads.unwrap_or_else(devices::cores),
        repeats: args.repeats,
        precision: args.precision,
        device: args.device,
    }))?;
    if args.json {
        outln!("{}", speed.to_json());
    } else {
        outln!("{speed}");
    }
    Ok(Exit::Done)
}
