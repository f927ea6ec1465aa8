//! `capfilt eval caption`: BLEU and CIDEr-D of a captioner.

use super::{collection, shown};
use crate::args::EvalCaptionArgs;
use anyhow::{Context as _, anyhow};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_demo_data::{
    parse::{Verdict, truth},
    scene::Scene,
};
use capfilt_evaluate::{Captioned, Judged, score, write};
use capfilt_runtime::registry;
use capfilt_schemas::settings::Method;
use serde_json::json;
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

/// Column of the demo's pairs that describes the picture.
const SCENE: &str = "scene";

pub async fn run(args: &EvalCaptionArgs) -> Ending {
    let (model, options) = (&args.checkpoint.model, args.checkpoint.options());
    let decoding = args.generation.decoding(&args.checkpoint, Method::Beam);
    let mut captioner = registry::captioner(model, options, &decoding).or_environment_error()?;
    let found = collection(&args.data, args.truth.then_some(SCENE)).await?;
    let (batch, seed, skipped) = (args.data.batch as usize, args.generation.seed, found.skipped);
    let images = found.images.clone();
    let captions = shown(images.len(), move |done| write(captioner.as_mut(), &images, batch, seed, done))?;
    let (scores, judged) = score(&captions, &found.images);
    let are_true = if args.truth { Some(share_true(&captions, &found.images)?) } else { None };
    if let Some(path) = &args.captions {
        let written = write_captions(path, &judged, &found.images);
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

/// Share of captions that are true of their pictures.
fn share_true(captions: &[String], images: &[Captioned]) -> Result<f64, Failure> {
    let mut are_true = 0;
    for (caption, image) in captions.iter().zip(images) {
        let scene =
            image.note.as_deref().ok_or_else(|| anyhow!("a row has no `{SCENE}`")).or_usage_error()?;
        let scene =
            Scene::parse(scene).map_err(|reason| anyhow!("column `{SCENE}`: {reason}")).or_usage_error()?;
        are_true += u32::from(truth(caption, &scene) == Verdict::True);
    }
    Ok(f64::from(are_true) / captions.len().max(1) as f64)
}

fn write_captions(path: &Path, judged: &[Judged], images: &[Captioned]) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (judged, image) in judged.iter().zip(images) {
        writeln!(
            file,
            "{}",
            json!({"caption": judged.caption, "cider": judged.cider, "texts": image.texts})
        )?;
    }
    file.flush()
}
