//! `capfilt gc`: objects that no commit names.

use crate::{
    args::GcArgs,
    exit::{Blame as _, Ending, Exit},
};
use capfilt_bucket::Bucket;
use capfilt_coordinator::gc;
use indicatif::ProgressBar;
use serde_json::json;

pub async fn run(args: &GcArgs) -> Ending {
    let bucket = Bucket::open(&args.job).usage()?;
    let garbage = gc::find(&bucket).await.environment()?;
    if args.delete {
        let bar = ProgressBar::new(garbage.objects.len() as u64);
        gc::remove(&bucket, &garbage, |gone| bar.set_position(gone)).await.environment()?;
        bar.finish_and_clear();
    }
    if args.json {
        let objects: Vec<_> =
            garbage.objects.iter().map(|(name, bytes)| json!({"object": name, "bytes": bytes})).collect();
        let (bytes, maybe_running) = (garbage.bytes(), garbage.maybe_running);
        println!(
            "{}",
            json!({"objects": objects, "bytes": bytes, "deleted": args.delete, "maybe_running": maybe_running})
        );
        return Ok(Exit::Done);
    }
    garbage.objects.iter().for_each(|(name, bytes)| println!("{bytes:>12}  {name}"));
    let next = if args.delete || garbage.objects.is_empty() { "" } else { "; --delete removes them" };
    let did = if args.delete { "removed" } else { "not needed" };
    println!("{} objects, {} bytes {did}{next}", garbage.objects.len(), garbage.bytes());
    if garbage.maybe_running > 0 {
        println!("{} more belong to attempts that may still be running", garbage.maybe_running);
    }
    Ok(Exit::Done)
}
