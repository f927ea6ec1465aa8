//! `capfilt eval caption`: BLEU and CIDEr-D of a captioner.

use super::{collection, shown};
use crate::args::EvalCaptionArgs;
use anyhow::Context as _;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_demo_data::parse::{SCENE, share_true};
use capfilt_evaluate::{score, write, write_lines};
use capfilt_runtime::registry;
use capfilt_schemas::settings::Method;
use serde_json::json;

pub async fn run(args: &EvalCaptionArgs) -> Ending {
    let (model, options) = (&args.checkpoint.model, args.checkpoint.options());
    let decoding = args.generation.decoding(&args.checkpoint, Method::Beam);
    let mut captioner = registry::captioner(model, options, &decoding).or_environment_error()?;
    let found = collection(&args.data, args.truth.then_some(SCENE), None).await?;
    let (batch, seed, skipped) = (args.data.batch as usize, args.generation.seed, found.skipped);
    let images = found.images.clone();
    let captions = shown(images.len(), move |done| write(captioner.as_mut(), &images, batch, seed, done))?;
    let (scores, judged) = score(&captions, &found.images);
    let notes = captions.iter().zip(found.images.iter().map(|image| image.note.as_deref()));
    let are_true = args.truth.then(|| share_true(notes)).transpose().or_usage_error()?;
    if let Some(path) = &args.captions {
        let written = write_lines(path, &judged, &found.images);
        written.with_context(|| format!("cannot write {}", path.display())).or_environment_error()?;
    }
    if args.data.json {
        let mut all = json!(scores);
        (all["images"], all["skipped"], all["true"]) =
            (json!(captions.len()), json!(skipped), json!(are_true));
        outln!("{all}");
        return Ok(Exit::Done);
    }
    for (n, bleu) in (1..).zip(scores.bleu) {
        outln!("BLEU-{n}   {:6.1}", 100.0 * bleu);
    }
    outln!("CIDEr-D  {:6.1}", 100.0 * scores.cider);
    are_true.iter().for_each(|share| outln!("true     {:6.1} %", 100.0 * share));
    Ok(Exit::Done)
}
