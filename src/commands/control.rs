//! `capfilt control`: pauses, resumes or drains a job.

use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_coordinator::control;
use capfilt_runtime::worker_processes::process_name;
use capfilt_serve::arguments::ControlArgs;
use capfilt_store::Location;

pub async fn run(args: &ControlArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let who = format!("capfilt control, {}", process_name());
    let control = control::write(&bucket, args.action, &who).await.or_environment_error()?;
    outln!("{}", bucket.url_of(&capfilt_schemas::object_keys::control(control.n)));
    Ok(Exit::Done)
}
