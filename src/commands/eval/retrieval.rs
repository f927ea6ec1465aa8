//! `capfilt eval retrieval`: recall of a filter from image to text and from text to image.

use super::{collection, shown};
use crate::args::EvalRetrievalArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_evaluate::{Recalls, retrieve};
use capfilt_runtime::blip;
use serde_json::json;

pub async fn run(args: &EvalRetrievalArgs) -> Ending {
    // Retrieval computes the features and matching logits of BLIP itself.
    let filter = blip::filter(&args.checkpoint.model, args.checkpoint.options()).or_environment_error()?;
    let found = collection(&args.data, None).await?;
    let (skipped, batch, top_k) = (found.skipped, args.data.batch as usize, args.top_k as usize);
    let passes = if top_k == 0 { 1 } else { 2 };
    let recalled =
        shown(passes * found.images.len(), move |done| retrieve(&filter, &found.images, top_k, batch, done))?;
    if args.data.json {
        let mut all = json!(recalled);
        (all["skipped"], all["top_k"]) = (json!(skipped), json!(top_k));
        if let (Some(text), Some(image)) = (recalled.text_by_match, recalled.image_by_match) {
            all["r_mean"] = json!((text.mean() + image.mean()) / 2.0);
        }
        outln!("{all}");
        return Ok(Exit::Done);
    }
    outln!("{} images, {} texts          R@1    R@5   R@10", recalled.images, recalled.texts);
    let show = |label: &str, recalls: &Recalls| {
        outln!("{label:30} {:6.1} {:6.1} {:6.1}", recalls.r1, recalls.r5, recalls.r10);
    };
    show("text for image, by cosine", &recalled.text_by_cosine);
    show("image for text, by cosine", &recalled.image_by_cosine);
    recalled.text_by_match.iter().for_each(|recalls| show("text for image, by matching", recalls));
    recalled.image_by_match.iter().for_each(|recalls| show("image for text, by matching", recalls));
    Ok(Exit::Done)
}
