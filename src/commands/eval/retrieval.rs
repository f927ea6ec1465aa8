//! `capfilt eval retrieval`: recall of a filter from image to text and from text to image; also of clips.

use super::{collection, shown};
use crate::args::EvalRetrievalArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_evaluate::retrieve;
use capfilt_pipeline::frames::Frames;
use capfilt_runtime::blip;
use serde_json::json;

pub async fn run(args: &EvalRetrievalArgs, clips: Option<Frames>) -> Ending {
    // Retrieval computes the features and matching logits of BLIP itself.
    let filter = blip::filter(&args.checkpoint.model, args.checkpoint.options()).or_environment_error()?;
    let found = collection(&args.data, None, clips).await?;
    let (skipped, batch, top_k) = (found.skipped, args.data.batch as usize, args.top_k as usize);
    let passes = if top_k == 0 { 1 } else { 2 };
    let recalled = shown(passes * found.images.len(), move |done| {
        retrieve(&filter, &found.images, top_k, batch, clips, done)
    })?;
    if args.data.json {
        let mut all = json!(recalled);
        (all["skipped"], all["top_k"]) = (json!(skipped), json!(top_k));
        clips.iter().for_each(|clips| all["frames"] = json!(clips.count));
        recalled.mean().iter().for_each(|mean| all["r_mean"] = json!(mean));
        outln!("{all}");
        return Ok(Exit::Done);
    }
    outln!("{recalled}");
    Ok(Exit::Done)
}
