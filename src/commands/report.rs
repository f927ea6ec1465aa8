//! `capfilt report`: one page that shows what a job kept, and why.

use capfilt_console::{Ending, Exit, ExitCodeExt as _, line, outln};
use capfilt_report::{ReportError, arguments::ReportArgs};
use capfilt_runtime::release;
use capfilt_store::Location;

pub async fn run(args: &ReportArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    release::warn_of(&bucket).await;
    let page = args.page();
    let written = match capfilt_report::write(&bucket, &args.options(), page.as_deref()).await {
        Err(error @ ReportError::Truth(_)) => Err(error).or_usage_error()?,
        written => written.or_environment_error()?,
    };
    page.iter().for_each(|page| line(format!("{}: {} bytes", page.display(), written.page_bytes)));
    if args.json {
        outln!("{}", serde_json::to_string(&written.statistics).or_environment_error()?);
    }
    Ok(Exit::Done)
}
