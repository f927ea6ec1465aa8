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
        return Ok(Exit::Done);
    }
    outln!("{:.1} images/s on one core ({} files, to {side} px)", speed.images_per_second(), speed.files);
    outln!("  decoding {:.2} ms, resizing {:.2} ms", speed.decode_ms, speed.resize_ms);
    if is_reduced {
        outln!(
            "  difference to the exact pixels: {:.2} levels of 255 on average, \
             more than {} for one value in a thousand",
            speed.levels_off_mean,
            speed.levels_off_99_9
        );
    }
    Ok(Exit::Done)
}
