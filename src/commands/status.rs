//! `capfilt status`: progress of a job, read from its bucket, and current work of its workers, from its
//! cluster.

use crate::args::StatusArgs;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_coordinator::{
    Status, StatusReader,
    dispatch::cluster::{ConnectionError, Listener, Live, queue_names},
};
use capfilt_runtime::release;
use capfilt_store::Location;
use std::{io::IsTerminal as _, time::Duration};

/// Interval of `--watch`; each refresh costs a listing of all commits.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Time to collect the workers' reports: each worker reports once a second.
const LISTEN: Duration = Duration::from_millis(2500);

/// Limit for an answer of NATS.
const NATS_TIMEOUT: Duration = Duration::from_secs(5);

pub async fn run(args: &StatusArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    release::warn_of(&bucket).await;
    let mut reader = StatusReader::open(&bucket).await.or_environment_error()?;
    let mut listener = listener(args, &bucket).await?;
    loop {
        let status = reader.read().await.or_environment_error()?;
        let live = match &mut listener {
            // Collecting the reports takes the place of the wait for the next refresh.
            Some(listener) => Some(listener.listen(LISTEN).await),
            None => None,
        };
        show(args, &status, live.as_ref())?;
        if status.done || !args.watch || console::is_output_lost() {
            return Ok(Exit::Done);
        }
        if listener.is_none() {
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }
}

/// Opens the cluster's listener. If the cluster cannot be reached, the bucket alone is read, which decides
/// anyway; a refused connection is an error.
async fn listener(args: &StatusArgs, bucket: &Location) -> Result<Option<Listener>, Failure> {
    let Some(link) = args.cluster.link() else { return Ok(None) };
    let names = queue_names(bucket).await.or_environment_error()?;
    match Listener::open(&link, names, NATS_TIMEOUT).await {
        Err(error @ (ConnectionError::Unreachable { .. } | ConnectionError::NoJetStream { .. })) => {
            console::line(format!("{error}; the following lines are from the bucket only"));
            Ok(None)
        }
        opened => opened.or_environment_error().map(Some),
    }
}

fn show(args: &StatusArgs, status: &Status, live: Option<&Live>) -> Result<(), Failure> {
    let text = if args.json {
        let mut value = serde_json::to_value(status).or_environment_error()?;
        value["live"] = serde_json::to_value(live).or_environment_error()?;
        value.to_string()
    } else if args.watch && !std::io::stdout().is_terminal() {
        status.line(live)
    } else {
        let page = status.page(live);
        // Cursor home, the page with the rest of each line cleared, then the old lines below it cleared.
        if args.watch { format!("\x1b[H{}\x1b[J", page.replace('\n', "\x1b[K\n")) } else { page }
    };
    outln!("{}", text.trim_end_matches('\n'));
    Ok(())
}
