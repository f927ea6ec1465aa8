//! `capfilt verify`: checks that each input row occurs once and that each object is unchanged since its
//! commit.

use super::recompute;
use crate::args::VerifyArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Progress, outln};
use capfilt_coordinator::{Verification, job, verify};
use capfilt_runtime::release;
use capfilt_store::Location;
use capfilt_workers::Agreement;
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
        let Verification { ok, rows, commits_without_job, problems } = &found;
        outln!(
            "{}",
            json!({"ok": ok, "rows": rows, "problems": problems, "recomputed": agreement,
            "commits_without_job": commits_without_job})
        );
    } else {
        show(&found, agreement.as_ref());
    }
    Ok(if found.ok { Exit::Done } else { Exit::WithQuarantine })
}

fn show(found: &Verification, agreement: Option<&Agreement>) {
    for problem in &found.problems {
        outln!("{}: {}; {}", problem.object, problem.what, problem.next);
    }
    if let Some(a) = agreement {
        outln!(
            "{} rows judged again: {} equal to the last bit; {} of {} captions and {} verdicts differ; \
             P(match) within {:.1e}, cosine within {:.1e}",
            a.rows,
            a.equal_rows,
            a.other_captions,
            a.captions,
            a.other_verdicts,
            a.max_match_difference,
            a.max_cosine_difference
        );
    }
    if found.commits_without_job > 0 {
        outln!(
            "{} commits do not say which job they belong to: an older capfilt wrote them, which did not \
             record the job",
            found.commits_without_job
        );
    }
    let verdict = if found.ok { "in order" } else { "NOT in order" };
    outln!("{} rows in committed shards: {verdict}, {} problems", found.rows, found.problems.len());
}
