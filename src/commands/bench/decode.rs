//! `capfilt bench decode`: speed of one core that decodes pictures and resizes them to the models' input.

use crate::{args::BenchDecodeArgs, commands::image_file};
use anyhow::{Context as _, anyhow};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_pipeline::{
    image::{ImageLimits, decode},
    resize::Resizer,
};
use serde_json::json;
use std::{
    hint::black_box,
    path::PathBuf,
    time::{Duration, Instant},
};

pub fn run(args: &BenchDecodeArgs) -> Ending {
    let side = args.side as usize;
    let exact = ImageLimits::default();
    let limits = ImageLimits { reduced_side: if args.reduced { args.side } else { 0 }, ..exact };
    let paths = image_file::list(&args.images).or_usage_error()?;
    let read =
        |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let all = paths.iter().map(read).collect::<Result<Vec<_>, _>>().or_usage_error()?;
    let (files, broken): (Vec<_>, Vec<_>) = all.into_iter().partition(|file| decode(file, &limits).is_ok());
    if files.is_empty() {
        return Err(anyhow!("no picture of {} decodes", args.images.display())).or_usage_error();
    }
    let (mut resizer, mut pixels) = (Resizer::new(), Vec::new());
    let (mut decoding, mut resizing, mut images) = (Duration::ZERO, Duration::ZERO, 0);
    while images == 0 || (decoding + resizing).as_secs_f64() < args.seconds {
        for file in &files {
            let start = Instant::now();
            let image = decode(file, &limits).expect("it decoded before");
            let decoded = Instant::now();
            pixels.clear();
            resizer.squash(&image, side, &mut pixels);
            black_box(&pixels);
            drop(image);
            decoding += decoded - start;
            resizing += decoded.elapsed();
            images += 1;
        }
    }
    let (mean, far) = differences(&files, side, [&exact, &limits]);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(images);
    let result = json!({
        "what": "decode", "files": files.len(), "broken": broken.len(), "side": side, "reduced": args.reduced,
        "images_per_second": 1e3 / milliseconds(decoding + resizing),
        "decode_ms": milliseconds(decoding), "resize_ms": milliseconds(resizing),
        "levels_off_mean": mean, "levels_off_99_9": far,
    });
    if args.json {
        outln!("{result}");
    } else {
        let (decoding, resizing) = (milliseconds(decoding), milliseconds(resizing));
        outln!(
            "{:.1} images/s on one core ({} files, to {side} px)",
            1e3 / (decoding + resizing),
            files.len()
        );
        outln!("  decoding {decoding:.2} ms, resizing {resizing:.2} ms");
        if args.reduced {
            outln!(
                "  difference to the exact pixels: {mean:.2} levels of 255 on average, \
                 more than {far} for one value in a thousand"
            );
        }
    }
    Ok(Exit::Done)
}

/// Differences of the resized pixels to the exact ones, in levels: the mean, and the bound that one value in
/// a thousand exceeds.
fn differences(files: &[Vec<u8>], side: usize, limits: [&ImageLimits; 2]) -> (f64, u8) {
    let mut resizer = Resizer::new();
    let mut counts = [0u64; 256];
    for file in files {
        let [exact, other] = limits.map(|limits| {
            let mut pixels = Vec::new();
            resizer.squash(&decode(file, limits).expect("it decoded before"), side, &mut pixels);
            pixels
        });
        exact.iter().zip(other).for_each(|(a, b)| counts[usize::from(a.abs_diff(b))] += 1);
    }
    let all: u64 = counts.iter().sum();
    let mean = counts.iter().enumerate().map(|(levels, count)| levels as f64 * *count as f64).sum::<f64>()
        / all as f64;
    let mut beyond = 0;
    let far = (0..=255u8).rev().find(|levels| {
        beyond += counts[usize::from(*levels)];
        beyond * 1000 > all
    });
    (mean, far.unwrap_or(0))
}
