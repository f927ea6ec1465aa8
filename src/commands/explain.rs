//! `capfilt explain`: everything that a job recorded about a row of its input.

use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_runtime::release;
use capfilt_serve::{
    arguments::ExplainArgs,
    explain::{ExplainError, RowName, find},
};
use capfilt_store::Location;

pub async fn run(args: &ExplainArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    release::warn_of(&bucket).await;
    let key = args.key.clone().map(RowName::Key);
    let name = key.or_else(|| args.row.clone()).expect("clap asks for one of them");
    let rows = match find(&bucket, &name).await {
        Err(error @ ExplainError::NotFound { .. }) => Err(error).or_usage_error()?,
        found => found.or_environment_error()?,
    };
    for (n, row) in rows.iter().enumerate() {
        if args.json {
            outln!("{}", row.to_json(&bucket));
        } else {
            outln!("{}{}", if n > 0 { "\n" } else { "" }, row.lines(&bucket).join("\n"));
        }
    }
    Ok(Exit::Done)
}
