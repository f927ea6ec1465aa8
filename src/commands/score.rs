//! `capfilt score`: match probability, cosine and CLIP score of images and texts.

use crate::args::ScoreArgs;
use anyhow::anyhow;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_pipeline::{image_file, model::TextScore, text::pre_caption};
use capfilt_runtime::{blip, clip, registry};
use capfilt_schemas::settings::Preset;
use serde_json::json;
use std::path::PathBuf;

/// Number of words that the original implementation keeps of a text.
const MAX_WORDS: usize = 30;

pub fn run(args: &ScoreArgs) -> Ending {
    if args.pair {
        return pair(args);
    }
    let model = &args.model;
    let checkpoint = &model.checkpoint;
    let mut filter = registry::filter(&checkpoint.model, checkpoint.options()).or_environment_error()?;
    // transformers does not clean texts.
    let clean = |text: &String| match checkpoint.preset {
        Preset::Original => pre_caption(text, MAX_WORDS),
        Preset::Hf => text.clone(),
    };
    let texts: Vec<String> = args.texts.iter().map(clean).collect();
    let load = |path: &PathBuf| clip::load(path, checkpoint.options());
    let mut second = args.clip.as_ref().map(load).transpose().or_environment_error()?;
    for path in &model.images {
        let (bytes, pixels) = image_file::read(path, filter.image_side()).or_usage_error()?;
        let scores = filter.score(&pixels, std::slice::from_ref(&texts)).or_environment_error()?;
        // CLIP reads texts unchanged.
        let seconds = second.as_mut().map(|clip| clip::scores(clip.as_mut(), path, &bytes, &args.texts));
        let seconds = seconds.transpose()?.unwrap_or_default();
        let seconds = seconds.into_iter().map(Some).chain(std::iter::repeat(None));
        let scores = args.texts.iter().zip(&scores[0]).zip(seconds);
        if model.json {
            let text = |((text, s), clip): ((&String, &TextScore), Option<f32>)| {
                let mut scores = json!({"text": text, "match": s.itm, "cosine": s.itc});
                clip.into_iter().for_each(|clip| scores["clip"] = clip.into());
                scores
            };
            outln!("{}", json!({"image": path, "texts": scores.map(text).collect::<Vec<_>>()}));
        } else {
            outln!("{}", path.display());
            scores.for_each(|((text, s), clip)| {
                let clip = clip.map(|clip| format!("  CLIP score {clip:.2}")).unwrap_or_default();
                outln!("  match {:.4}  cosine {:+.4}{clip}  {text}", s.itm, s.itc);
            });
        }
    }
    Ok(Exit::Done)
}

/// Probabilities that the texts are true of the two images.
fn pair(args: &ScoreArgs) -> Ending {
    let (model, checkpoint) = (&args.model, &args.model.checkpoint);
    let [left, right] = model.images.as_slice() else {
        let images = model.images.len();
        return Err(anyhow!("--pair needs two images, not {images}: repeat --image")).or_usage_error();
    };
    let truth = blip::pair_truth(&checkpoint.model, checkpoint.options(), [left, right], &args.texts)?;
    let judged = args.texts.iter().zip(&truth);
    if model.json {
        let judged: Vec<_> = judged.map(|(text, truth)| json!({"text": text, "true": truth})).collect();
        outln!("{}", json!({"images": model.images, "texts": judged}));
    } else {
        judged.for_each(|(text, truth)| outln!("true {truth:.4}  {text}"));
    }
    Ok(Exit::Done)
}
