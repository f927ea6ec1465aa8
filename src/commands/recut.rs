//! `capfilt recut`: other thresholds and rules over the ledgers of a finished job.

use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_runtime::recut::{self, RecutArgs};
use capfilt_store::Location;

pub async fn run(args: &RecutArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let outcome = recut::run(bucket, &args.rules, args.name.as_ref(), args.materialise).await?;
    if args.json {
        outln!("{}", outcome.to_json());
    } else {
        outln!("{}", outcome.lines(&args.job).join("\n"));
    }
    Ok(Exit::Done)
}
