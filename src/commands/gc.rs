//! `capfilt gc`: objects that no commit names.

use crate::args::GcArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Progress, outln};
use capfilt_coordinator::gc;
use capfilt_runtime::{cluster, release};
use capfilt_store::Location;
use serde_json::json;

pub async fn run(args: &GcArgs) -> Ending {
    let own = args.job.as_deref().map(Location::open_without_links).transpose().or_usage_error()?;
    let streams = match args.cluster.link() {
        Some(link) => cluster::unused_queues(&link, own.as_ref(), args.delete).await?,
        None => Vec::new(),
    };
    if own.is_none() && args.json {
        outln!("{}", json!({"streams": streams, "deleted": args.delete}));
    } else if !args.json {
        let did = if args.delete { "removed" } else { "not used; --delete removes it" };
        streams.iter().for_each(|stream| outln!("{stream}: {did}"));
    }
    let Some(bucket) = own else { return Ok(Exit::Done) };
    release::warn_of(&bucket).await;
    let garbage = gc::find(&bucket).await.or_environment_error()?;
    if args.delete {
        let (all, bar) = (garbage.objects.len() as u64, Progress::plain());
        let removed = gc::remove(&bucket, &garbage, |gone| bar.show_bar(gone, all)).await;
        bar.finish();
        removed.or_environment_error()?;
    }
    if args.json {
        let mut found = garbage.to_json();
        (found["deleted"], found["streams"]) = (json!(args.delete), json!(streams));
        outln!("{found}");
    } else {
        garbage.lines(args.delete).iter().for_each(|line| outln!("{line}"));
    }
    Ok(Exit::Done)
}
