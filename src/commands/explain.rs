//! `capfilt explain`: everything that a job recorded about a row of its input.

use crate::args::ExplainArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_runtime::explain::{RowName, find};
use capfilt_store::Location;

pub async fn run(args: &ExplainArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let key = args.key.clone().map(RowName::Key);
    let name = key.or_else(|| args.row.clone()).expect("clap asks for one of them");
    for (n, row) in find(&bucket, &name).await?.iter().enumerate() {
        if args.json {
            outln!("{}", row.to_json(&bucket));
        } else {
            outln!("{}{}", if n > 0 { "\n" } else { "" }, row.lines(&bucket).join("\n"));
        }
    }
    Ok(Exit::Done)
}
