//! `capfilt caption`: captions for images.

use crate::args::CaptionArgs;
use anyhow::anyhow;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_pipeline::{
    image_file,
    model::{PixelBatch, SampleKey},
};
use capfilt_runtime::{blip, registry};
use capfilt_schemas::settings::{Captioner, Method, Preset};
use serde_json::json;
use std::path::Path;

pub fn run(args: &CaptionArgs) -> Ending {
    let model = &args.model;
    let by_preset = if model.checkpoint.preset == Preset::Hf { Method::Greedy } else { Method::Nucleus };
    let decoding = args.generation.decoding(&model.checkpoint, by_preset);
    if args.candidates {
        return candidates(args, &decoding);
    }
    let (path, options) = (&model.checkpoint.model, model.checkpoint.options());
    let mut captioner = registry::captioner(path, options, &decoding).or_environment_error()?;
    for path in &model.images {
        let (pixels, key) = read(args, path, captioner.image_side())?;
        let captions = captioner.caption(&pixels, &[key], args.num_captions).or_environment_error()?;
        if model.json {
            let captions: Vec<_> =
                captions[0].iter().map(|c| json!({"text": c.text, "ids": c.ids})).collect();
            outln!("{}", json!({"image": path, "captions": captions}));
        } else {
            captions[0].iter().for_each(|caption| outln!("{}  {}", path.display(), caption.text));
        }
    }
    Ok(Exit::Done)
}

/// Samples a caption per image and prints the candidates of each token. Only BLIP's captioner reports them.
fn candidates(args: &CaptionArgs, decoding: &Captioner) -> Ending {
    if decoding.method != Method::Nucleus {
        return Err(anyhow!("--candidates shows what nucleus sampling draws from; add --method nucleus"))
            .or_usage_error();
    }
    let checkpoint = &args.model.checkpoint;
    let captioner =
        blip::captioner(&checkpoint.model, checkpoint.options(), decoding).or_environment_error()?;
    for path in &args.model.images {
        let (pixels, key) = read(args, path, captioner.images().side)?;
        let (caption, words) = captioner.sample_shown(&pixels, key).or_environment_error()?;
        let words: Vec<_> =
            words.iter().map(|w| w.iter().map(|c| (c.id, c.probability)).collect::<Vec<_>>()).collect();
        outln!("{}", json!({"image": path, "text": caption.text, "ids": caption.ids, "candidates": words}));
    }
    Ok(Exit::Done)
}

/// Reads an image at the model's size, with the key of its random numbers.
fn read(args: &CaptionArgs, path: &Path, side: usize) -> Result<(PixelBatch, SampleKey), Failure> {
    let (bytes, pixels) = image_file::read(path, side).or_usage_error()?;
    let image_sha256 = capfilt_schemas::hash::sha256(&bytes);
    Ok((pixels, SampleKey { job_seed: args.generation.seed, image_sha256 }))
}
