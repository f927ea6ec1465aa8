//! `capfilt verify`: checks that each input row occurs once and that each object is unchanged since its
//! commit.

use crate::args::VerifyArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Progress, outln};
use capfilt_coordinator::{job, verify};
use capfilt_runtime::{recompute, release};
use capfilt_store::Location;
use serde_json::json;

pub async fn run(args: &VerifyArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    // `verify` below reports a record that cannot be read.
    let job = job::find(&bucket).await.unwrap_or(None);
    job.iter().for_each(release::warn);
    let compared = job.as_ref().filter(|_| !args.allow_changed);
    let input = compared.map(|job| Location::open(&job.settings.input.url)).transpose().or_usage_error()?;
    let bar = Progress::plain();
    let found = verify(&bucket, input.as_ref(), |done, all| bar.show_bar(done, all)).await;
    bar.finish();
    let mut found = found.or_environment_error()?;
    let agreement = match (args.recompute, found.ok) {
        (0, _) | (_, false) => None,
        (rows, true) => Some(recompute::rows(&bucket, rows, args.device).await?),
    };
    if let Some((agreement, problem)) = &agreement {
        found.problems.extend(problem.clone());
        found.ok &= agreement.rows > 0 && problem.is_none();
    }
    let agreement = agreement.map(|(agreement, _)| agreement);
    if args.json {
        let mut all = json!(found);
        all["recomputed"] = json!(agreement);
        outln!("{all}");
    } else {
        found.problems.iter().for_each(|problem| outln!("{problem}"));
        agreement.iter().for_each(|agreement| outln!("{agreement}"));
        outln!("{found}");
    }
    Ok(if found.ok { Exit::Done } else { Exit::WithQuarantine })
}
