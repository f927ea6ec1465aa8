//! `capfilt gc --cluster`: queues on a NATS server that no process uses.

use crate::args::GcArgs;
use capfilt_console::{self as console, ExitCodeExt as _, Failure};
use capfilt_coordinator::dispatch::cluster::{JobStream, JobStreams, queue_names};
use capfilt_store::Location;

/// Lists the unused queues of the server of `--cluster`: all of them, or the queue of `--job`. With
/// `--delete` the queues are removed.
///
/// # Errors
/// When the server, or the job's bucket, fails.
pub async fn unused(args: &GcArgs) -> Result<Vec<JobStream>, Failure> {
    let Some(link) = args.cluster.link() else { return Ok(Vec::new()) };
    let mut streams =
        JobStreams::look(&link, |waiting| console::line(waiting)).await.or_environment_error()?;
    if let Some(job) = &args.job {
        let bucket = Location::open_without_links(job).or_usage_error()?;
        let own = queue_names(&bucket).await.or_environment_error()?.stream();
        streams.found.retain(|stream| stream.stream == own);
    }
    let in_use = streams.found.extract_if(.., |stream| stream.in_use);
    in_use.for_each(|stream| console::line(format!("{} is in use", stream)));
    if args.delete {
        streams.remove_unused().await.or_environment_error()?;
    }
    Ok(streams.found)
}
