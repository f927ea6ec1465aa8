//! `capfilt bench model`: speed of captioning and judging on a device, without reading, decoding and writing.

use super::blamed;
use crate::args::BenchModelArgs;
use capfilt_console::{Ending, Exit, outln};
use capfilt_measure::{ModelSpeed, ModelTrial, Part, model_speed};
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
        show(&speed, args.batch);
    }
    Ok(Exit::Done)
}

fn show(speed: &ModelSpeed, batch: usize) {
    let (seconds, precision) = (speed.whole.seconds, speed.precision.name());
    outln!("{seconds:.4} s per image ({} images, batch {batch}, {precision})", speed.images);
    let (gflop, gigabytes) = (speed.floors.flop_per_second / 1e9, speed.floors.bytes_per_second / 1e9);
    outln!("peak: {gflop:.0} GFLOP/s in a matrix product of 2048³, {gigabytes:.1} GB/s in a copy");
    let heads = ["GFLOP", "GB", "floor, s", "s", "share"];
    let [flop, bytes, floor, seconds, share] = heads;
    outln!("{:24} {flop:>8} {bytes:>8} {floor:>9} {seconds:>9} {share:>7}", "cost of one image");
    show_part("captioner and filter", speed.whole);
    show_part("  one image encoder", speed.encoder);
    show_part("  captioner, all of it", speed.caption);
    show_part("  filter, all of it", speed.score);
}

fn show_part(name: &str, part: Part) {
    let (gflop, gigabytes, share) = (part.cost.flop / 1e9, part.cost.bytes / 1e9, 100.0 * part.share);
    let (floor, seconds) = (part.floor_by_flop.max(part.floor_by_bytes), part.seconds);
    outln!("{name:24} {gflop:8.1} {gigabytes:8.3} {floor:9.4} {seconds:9.4} {share:5.1} %");
}
