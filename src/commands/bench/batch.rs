//! `capfilt bench batch`: speed of a device at several batch sizes, measured with a job's models.

use crate::{args::BenchBatchArgs, settings_file};
use anyhow::anyhow;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_pipeline::{
    capfilt::CapFilt,
    input::{ImageInput, Sample, TextInput},
    model::ModelError,
    prepare::{Prepared, PreparedImage, WebText},
};
use capfilt_runtime::{
    batch_size::{Tried, best},
    checkpoints, devices, models,
};
use capfilt_schemas::hash::sha256;
use serde_json::json;
use std::time::Instant;

/// Text with the number of words of a typical alt-text.
const TEXT: &str = "two people with a small dog in front of an old house near the river";
/// Least seconds to measure one size.
const SECONDS: f64 = 0.3;

pub async fn run(args: &BenchBatchArgs) -> Ending {
    capfilt_blip::set_threads(devices::cores());
    let settings = settings_file::load(&args.settings)?;
    let (captioner, filter) = checkpoints::records(&settings).await?;
    let mut capfilt = models::load_recorded(&settings, [&captioner, &filter], args.device).await?;
    let mut sizes = args.sizes.clone();
    sizes.sort_unstable();
    let tried = try_sizes(&mut capfilt, &sizes).or_environment_error()?;
    let batch = best(&tried);
    let batch = batch
        .ok_or_else(|| {
            anyhow!("{} images exceed the memory of {}; give smaller --sizes", sizes[0], args.device)
        })
        .or_environment_error()?;
    if args.json {
        let one = |one: &Tried| json!({"batch": one.batch, "images_per_second": one.images_per_second});
        let tried: Vec<_> = tried.iter().map(one).collect();
        outln!("{}", json!({"device": args.device.to_string(), "batch": batch, "tried": tried}));
        return Ok(Exit::Done);
    }
    for Tried { batch, images_per_second } in &tried {
        match images_per_second {
            Some(speed) => outln!("{batch:5} images: {speed:9.2} images/s"),
            None => outln!("{batch:5} images: more than the device's memory"),
        }
    }
    outln!("workers.batch = {batch}");
    Ok(Exit::Done)
}

/// Measures each size in turn, until one exceeds the device's memory.
fn try_sizes(capfilt: &mut CapFilt, sizes: &[u32]) -> Result<Vec<Tried>, ModelError> {
    let mut tried = Vec::new();
    for batch in sizes {
        let images_per_second = speed(capfilt, *batch as usize)?;
        tried.push(Tried { batch: *batch, images_per_second });
        if images_per_second.is_none() {
            break;
        }
    }
    Ok(tried)
}

/// Measures images per second; `None` if the batch exceeds the device's memory.
fn speed(capfilt: &mut CapFilt, batch: usize) -> Result<Option<f64>, ModelError> {
    let rows = rows(capfilt.image_sides(), batch);
    capfilt.set_batch(batch);
    capfilt.judge("warm-up", &rows)?;
    let (from, mut images) = (Instant::now(), 0);
    while capfilt.batch() == batch && (images == 0 || from.elapsed().as_secs_f64() < SECONDS) {
        capfilt.judge("trial", &rows)?;
        images += batch;
    }
    // `CapFilt` halves its batch when the device's memory is exhausted.
    Ok((capfilt.batch() == batch).then(|| images as f64 / from.elapsed().as_secs_f64()))
}

/// Makes rows with a pattern as image, a text and a negative control, as in a job. The content of the pixels
/// affects the time only through the length of the captions.
fn rows((captioner_side, filter_side): (usize, usize), count: usize) -> Vec<Prepared> {
    let pixels =
        |side: usize| (0..3 * side * side).map(|at| (at * 31 + at / 7) as u8).collect::<Vec<u8>>().into();
    let row = |i: usize| {
        let image = PreparedImage {
            width: captioner_side as u32,
            height: captioner_side as u32,
            captioner_u8: pixels(captioner_side),
            filter_u8: pixels(filter_side),
        };
        let sample = Sample {
            row: i as u64,
            key: None,
            image: ImageInput::Missing,
            text: TextInput::Text(TEXT.to_owned()),
            selected: true,
            control: Some(TEXT.to_owned()),
            note: None,
        };
        let web = WebText::Judgeable { cleaned: TEXT.to_owned() };
        Prepared { sample, image_sha256: Some(sha256(&i.to_le_bytes())), image: Ok(image), web }
    };
    (0..count).map(row).collect()
}
