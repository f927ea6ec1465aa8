//! `capfilt serve`: the live page of a job.

use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, shutdown};
use capfilt_report::Options;
use capfilt_runtime::release;
use capfilt_serve::{Access, Server, arguments::ServeArgs};
use capfilt_store::Location;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::{runtime::Handle, task::spawn_blocking};

pub async fn run(args: &ServeArgs) -> Ending {
    let stop = shutdown::on_signal();
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let access = Access::of(args).or_usage_error()?;
    release::warn_of(&bucket).await;
    let server = Server::open(bucket, access, Some(report)).await.or_environment_error()?;
    server.lines().iter().for_each(console::line);
    shutdown::unless(&stop, server.run()).await;
    Ok(Exit::Interrupted)
}

/// Makes the page of `capfilt report`, on a thread for blocking work: thumbnails are computed.
fn report(job: Arc<Location>) -> BoxFuture<'static, Result<String, String>> {
    let made = spawn_blocking(move || {
        Handle::current()
            .block_on(capfilt_report::html(&job, &Options::default()))
            .map_err(|error| error.to_string())
    });
    Box::pin(async move { made.await.map_err(|error| error.to_string())? })
}
