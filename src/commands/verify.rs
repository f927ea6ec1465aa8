//! `capfilt verify`: are a job's books in order, and its objects as they were committed?

use crate::{
    args::VerifyArgs,
    exit::{Blame as _, Ending, Exit},
};
use capfilt_bucket::{Bucket, Place};
use capfilt_coordinator::{job, verify};
use indicatif::ProgressBar;

pub async fn run(args: &VerifyArgs) -> Ending {
    let bucket = Bucket::open(&args.job).usage()?;
    let job = job::find(&bucket).await.environment()?;
    let input = job.map(|job| Place::open(&job.settings.input.url)).transpose().usage()?;
    let bar = ProgressBar::new(0);
    let progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let found = verify(&bucket, input.as_ref(), progress).await.environment()?;
    bar.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string(&found).environment()?);
    } else {
        for problem in &found.problems {
            println!("{}: {}; {}", problem.object, problem.what, problem.next);
        }
        let verdict = if found.ok { "in order" } else { "NOT in order" };
        println!("{} rows in committed shards: {verdict}, {} problems", found.rows, found.problems.len());
    }
    Ok(if found.ok { Exit::Done } else { Exit::WithQuarantine })
}
