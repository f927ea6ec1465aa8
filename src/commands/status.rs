//! `capfilt status`: progress of a job, read from its bucket, and current work of its workers, from its
//! cluster.

use crate::args::StatusArgs;
use capfilt_console::{Ending, ExitCodeExt as _};
use capfilt_runtime::status_display::{Form, show};
use capfilt_store::Location;

pub async fn run(args: &StatusArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let form = Form { is_json: args.json, is_watch: args.watch };
    show(&bucket, args.cluster.link().as_ref(), form).await
}
