//! `capfilt init`: reads the columns of an input and writes the settings of a job over it.

use crate::args::InitArgs;
use anyhow::Context as _;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_coordinator::inspect::{Inspected, Models, inspect, settings_text};
use capfilt_runtime::{job_setup, plan_exit::of_plan};
use capfilt_store::Location;
use std::{fs::File, io::Write as _};

/// Checkpoints of BLIP on the Hugging Face Hub, in the size that the paper uses for filtering.
const FILTER: &str = "hf://Salesforce/blip-itm-base-coco";
const CAPTIONER: &str = "hf://Salesforce/blip-image-captioning-base";

pub async fn run(args: &InitArgs) -> Ending {
    if let Some(kind) = args.print_all {
        outln!("{}", kind.text().trim_end());
        return Ok(Exit::Done);
    }
    let given = args.input.as_deref().unwrap_or_default();
    let url = job_setup::at_commit(given).await?;
    let input = Location::open(&url).or_usage_error()?;
    let inspected = of_plan(inspect(&input, &args.job).await)?;
    let models = models(args)?;
    let inspected = Inspected { url: given.to_owned(), ..inspected };
    let text = settings_text(&inspected, &args.job, &models);
    let fail = |what: &str| format!("cannot {what} {}", args.config.display());
    let created = File::create_new(&args.config);
    let kept = || format!("{} (an existing file is kept; -c names another one)", fail("create"));
    let mut file = created.with_context(kept).or_usage_error()?;
    file.write_all(text.as_bytes()).with_context(|| fail("write")).or_environment_error()?;
    inspected.lines().iter().for_each(|line| outln!("{line}"));
    outln!("wrote {config}; check it, then:", config = args.config.display());
    ["plan", "run"].iter().for_each(|c| outln!("  capfilt {c} --config {}", args.config.display()));
    Ok(Exit::Done)
}

/// The models of the arguments; on a terminal, the user is asked for missing ones.
fn models(args: &InitArgs) -> Result<Models, Failure> {
    let asked = |given: &Option<String>, question: &str, default: &str| match given {
        Some(model) => Ok(model.clone()),
        None => console::ask(question, default).context("no answer, so nothing was written"),
    };
    let filter = asked(&args.filter, "Filter (a folder, a URL or hf://owner/name)", FILTER);
    let filter = filter.or_usage_error()?;
    if args.filter_only {
        return Ok(Models { filter, captioner: None });
    }
    let question = "Captioner; `none` only judges the texts of the input";
    let captioner = asked(&args.captioner, question, CAPTIONER).or_usage_error()?;
    Ok(Models { filter, captioner: Some(captioner).filter(|captioner| captioner != "none") })
}
