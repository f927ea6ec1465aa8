//! `capfilt gc`: objects that no commit names.

use super::streams;
use crate::args::GcArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Progress, outln};
use capfilt_coordinator::gc;
use capfilt_runtime::release;
use capfilt_store::Location;
use serde_json::json;

pub async fn run(args: &GcArgs) -> Ending {
    let streams = streams::unused(args).await?;
    if args.job.is_none() && args.json {
        outln!("{}", json!({"streams": streams, "deleted": args.delete}));
    } else if !args.json {
        let did = if args.delete { "removed" } else { "not used; --delete removes it" };
        streams.iter().for_each(|stream| outln!("{}: {did}", streams::shown(stream)));
    }
    let Some(job) = &args.job else { return Ok(Exit::Done) };
    let bucket = Location::open_without_links(job).or_usage_error()?;
    release::warn_of(&bucket).await;
    let garbage = gc::find(&bucket).await.or_environment_error()?;
    if args.delete {
        let (all, bar) = (garbage.objects.len() as u64, Progress::plain());
        let removed = gc::remove(&bucket, &garbage, |gone| bar.show_bar(gone, all)).await;
        bar.finish();
        removed.or_environment_error()?;
    }
    if args.json {
        let objects: Vec<_> =
            garbage.objects.iter().map(|(name, bytes)| json!({"object": name, "bytes": bytes})).collect();
        let (bytes, maybe_running) = (garbage.bytes(), garbage.maybe_running);
        let uploads: Vec<_> = garbage.uploads.iter().map(|upload| upload.name.as_str()).collect();
        outln!(
            "{}",
            json!({
                "objects": objects, "bytes": bytes, "deleted": args.delete, "maybe_running": maybe_running,
                "unfinished_uploads": uploads, "uploads_unknown": garbage.uploads_unknown,
                "streams": streams,
            })
        );
        return Ok(Exit::Done);
    }
    garbage.objects.iter().for_each(|(name, bytes)| outln!("{bytes:>12}  {name}"));
    let is_clean = garbage.objects.is_empty() && garbage.uploads.is_empty();
    let next = if args.delete || is_clean { "" } else { "; --delete removes them" };
    let did = if args.delete { "removed" } else { "not needed" };
    outln!("{} objects, {} bytes {did}{next}", garbage.objects.len(), garbage.bytes());
    if !garbage.uploads.is_empty() {
        garbage.uploads.iter().for_each(|upload| outln!("{:>12}  {}", "unfinished", upload.name));
        outln!("{} unfinished uploads {did}{next}", garbage.uploads.len());
    }
    if let Some(why) = &garbage.uploads_unknown {
        outln!("unfinished uploads are not listed: {why}; a lifecycle rule of the bucket removes them");
    }
    if garbage.maybe_running > 0 {
        outln!("{} more objects belong to attempts that may still be running", garbage.maybe_running);
    }
    Ok(Exit::Done)
}
