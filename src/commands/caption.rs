//! `capfilt caption`: captions for images.

use super::image_file;
use crate::{args::CaptionArgs, models::model_failed};
use anyhow::anyhow;
use capfilt_blip::BlipCaptioner;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_pipeline::model::{Captioner as _, SampleKey};
use capfilt_schemas::settings::{Method, Preset};
use serde_json::json;

pub fn run(args: &CaptionArgs) -> Ending {
    let model = &args.model;
    let options = model.checkpoint.options();
    let by_preset = if model.checkpoint.preset == Preset::Hf { Method::Greedy } else { Method::Nucleus };
    let generation = args.generation.options(by_preset, &options);
    if args.candidates && generation.method != Method::Nucleus {
        return Err(anyhow!("--candidates shows what nucleus sampling draws from; add --method nucleus"))
            .or_usage_error();
    }
    let mut captioner =
        BlipCaptioner::load(&model.checkpoint.model, &options, generation).or_environment_error()?;
    for path in &model.images {
        let (bytes, pixels) = image_file::read(path, captioner.image_side())?;
        let key =
            SampleKey { job_seed: args.generation.seed, image_sha256: capfilt_schemas::hash::sha256(&bytes) };
        if args.candidates {
            let (caption, words) = captioner.sample_shown(&pixels, key).map_err(model_failed)?;
            let words: Vec<_> =
                words.iter().map(|w| w.iter().map(|c| (c.id, c.probability)).collect::<Vec<_>>()).collect();
            outln!(
                "{}",
                json!({"image": path, "text": caption.text, "ids": caption.ids, "candidates": words})
            );
            continue;
        }
        let captions = captioner.caption(&pixels, &[key], args.num_captions).map_err(model_failed)?;
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
