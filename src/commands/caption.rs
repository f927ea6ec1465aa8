//! `capfilt caption`: captions for images.

use super::image_file;
use crate::{
    args::{CaptionArgs, Method as MethodArg},
    exit::{Blame as _, Ending, Exit},
    models::model_failed,
};
use anyhow::anyhow;
use capfilt_med::{BlipCaptioner, GenerationOptions, LoadOptions, Method, Preset};
use capfilt_pipeline::model::{Captioner as _, SampleKey};
use serde_json::json;

pub fn run(args: &CaptionArgs) -> Ending {
    let model = &args.model;
    let options = LoadOptions { device: model.device, precision: model.precision, ..LoadOptions::preset(model.preset) };
    let generation = generation(args, &options);
    if args.candidates && generation.method != Method::Nucleus {
        return Err(anyhow!("--candidates shows what nucleus sampling draws from; add --method nucleus")).usage();
    }
    let mut captioner = BlipCaptioner::load(&model.model, &options, generation).environment()?;
    for path in &model.images {
        let (bytes, pixels) = image_file::read(path, captioner.image_side())?;
        let key = SampleKey { job_seed: args.seed, image_sha256: capfilt_schemas::hash::sha256(&bytes) };
        if args.candidates {
            let (caption, words) = captioner.sample_shown(&pixels, key).map_err(model_failed)?;
            let words: Vec<_> =
                words.iter().map(|w| w.iter().map(|c| (c.id, c.probability)).collect::<Vec<_>>()).collect();
            println!("{}", json!({"image": path, "text": caption.text, "ids": caption.ids, "candidates": words}));
            continue;
        }
        let captions = captioner.caption(&pixels, &[key], args.num_captions).map_err(model_failed)?;
        if model.json {
            let captions: Vec<_> = captions[0].iter().map(|c| json!({"text": c.text, "ids": c.ids})).collect();
            println!("{}", json!({"image": path, "captions": captions}));
        } else {
            captions[0].iter().for_each(|caption| println!("{}  {}", path.display(), caption.text));
        }
    }
    Ok(Exit::Done)
}

fn generation(args: &CaptionArgs, options: &LoadOptions) -> GenerationOptions {
    let by_preset = if args.model.preset == Preset::Hf { MethodArg::Greedy } else { MethodArg::Nucleus };
    let method = match args.method.unwrap_or(by_preset) {
        MethodArg::Greedy => Method::Greedy,
        MethodArg::Nucleus => Method::Nucleus,
        MethodArg::Beam => Method::Beam { beams: args.beams },
    };
    let preset = options.options.generation(method);
    GenerationOptions {
        top_p: args.top_p,
        top_k: args.top_k,
        repetition_penalty: args.repetition_penalty.unwrap_or(preset.repetition_penalty),
        min_length: args.min_length.unwrap_or(preset.min_length),
        max_length: args.max_length.unwrap_or(preset.max_length),
        prompt: args.prompt.clone().unwrap_or_else(|| preset.prompt.clone()),
        ..preset
    }
}
