//! `capfilt score`: match probability and cosine of images and texts.

use crate::args::ScoreArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_pipeline::{image_file, text::pre_caption};
use capfilt_runtime::registry;
use capfilt_schemas::settings::Preset;
use serde_json::json;

/// Number of words that the original implementation keeps of a text.
const MAX_WORDS: usize = 30;

pub fn run(args: &ScoreArgs) -> Ending {
    let model = &args.model;
    let checkpoint = &model.checkpoint;
    let mut filter = registry::filter(&checkpoint.model, checkpoint.options()).or_environment_error()?;
    // transformers does not clean texts.
    let clean = |text: &String| match checkpoint.preset {
        Preset::Original => pre_caption(text, MAX_WORDS),
        Preset::Hf => text.clone(),
    };
    let texts: Vec<String> = args.texts.iter().map(clean).collect();
    for path in &model.images {
        let (_, pixels) = image_file::read(path, filter.image_side()).or_usage_error()?;
        let scores = filter.score(&pixels, std::slice::from_ref(&texts)).or_environment_error()?;
        let scores = args.texts.iter().zip(&scores[0]);
        if model.json {
            let texts: Vec<_> =
                scores.map(|(text, s)| json!({"text": text, "match": s.itm, "cosine": s.itc})).collect();
            outln!("{}", json!({"image": path, "texts": texts}));
        } else {
            outln!("{}", path.display());
            scores.for_each(|(text, s)| outln!("  match {:.4}  cosine {:+.4}  {text}", s.itm, s.itc));
        }
    }
    Ok(Exit::Done)
}
