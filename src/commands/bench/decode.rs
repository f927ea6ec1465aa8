//! `capfilt bench decode`: speed of one core that decodes pictures and resizes them to the models' input.

use super::blamed;
use crate::args::BenchDecodeArgs;
use capfilt_console::{Ending, Exit, outln};
use capfilt_measure::{DecodeTrial, decode_speed};

pub fn run(args: &BenchDecodeArgs) -> Ending {
    let BenchDecodeArgs { side, seconds, reduced: is_reduced, .. } = *args;
    let trial = DecodeTrial { images: &args.images, side, is_reduced, seconds };
    let speed = blamed(decode_speed(&trial))?;
    if args.json {
        outln!("{}", speed.to_json(&trial));
    } else {
        speed.lines(&trial).iter().for_each(|line| outln!("{line}"));
    }
    Ok(Exit::Done)
}
