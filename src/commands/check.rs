//! `capfilt check`: checks settings, bucket, input, models and devices of a job before it starts.

use crate::args::CheckArgs;
use capfilt_console::{Ending, Exit, outln};
use capfilt_runtime::{
    job_check::{self, Finding},
    settings_file,
};
use serde_json::json;

/// Prints each finding at once, or all findings together as JSON at the end.
pub async fn run(args: &CheckArgs) -> Ending {
    let settings = settings_file::load(args.settings.file())?;
    let mut all = Vec::new();
    let mut add = |Finding { subject, text, is_problem }: Finding| {
        if args.json {
            all.push(json!({"subject": subject, "finding": text, "problem": is_problem}));
        } else {
            outln!("{subject:9} {text}");
        }
    };
    let exit = job_check::check(&settings, args.write_known_answers, &mut add).await?;
    if args.json {
        outln!("{}", json!({"ok": exit == Exit::Done, "findings": all}));
    }
    Ok(exit)
}
