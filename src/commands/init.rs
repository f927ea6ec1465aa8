//! `capfilt init`: reads the columns of an input and writes the settings of a job over it.

use crate::args::InitArgs;
use anyhow::{Context as _, anyhow};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_coordinator::inspect::{Inspected, Models, inspect, settings_text};
use capfilt_runtime::{job_setup, plan_exit::of_plan};
use capfilt_store::Location;
use std::{
    fs::File,
    io::{BufRead as _, IsTerminal as _, Write as _},
};

/// Checkpoints of BLIP on the Hugging Face Hub, in the size that the paper uses for filtering.
const FILTER: &str = "hf://Salesforce/blip-itm-base-coco";
const CAPTIONER: &str = "hf://Salesforce/blip-image-captioning-base";

pub async fn run(args: &InitArgs) -> Ending {
    let url = job_setup::at_commit(&args.input).await?;
    let input = Location::open(&url).or_usage_error()?;
    let inspected = of_plan(inspect(&input, &args.job).await)?;
    let models = models(args)?;
    let text = settings_text(&Inspected { url: args.input.clone(), ..inspected.clone() }, &args.job, &models);
    let fail = |what: &str| format!("cannot {what} {}", args.config.display());
    let created = File::create_new(&args.config);
    let mut file = created.with_context(|| fail("create")).or_usage_error()?;
    file.write_all(text.as_bytes()).with_context(|| fail("write")).or_environment_error()?;
    report(args, &inspected);
    Ok(Exit::Done)
}

fn report(args: &InitArgs, inspected: &Inspected) {
    let Inspected { files, format, guess, .. } = inspected;
    let config = args.config.display();
    outln!("{}: {files} files, the first: {format}", args.input);
    let or_none = |name: &str| if name.is_empty() { "no column fits".to_owned() } else { name.to_owned() };
    outln!(
        "image   {}{}",
        or_none(&guess.image),
        if guess.fetches { " (links, which the job fetches)" } else { "" }
    );
    outln!("text    {}", or_none(&guess.texts.join(", ")));
    outln!("wrote {config}; check it, then:");
    outln!("  capfilt plan --config {config}");
    outln!("  capfilt run --config {config}");
}

/// The models of the arguments; on a terminal, the user is asked for missing ones.
fn models(args: &InitArgs) -> Result<Models, Failure> {
    let filter = match &args.filter {
        Some(filter) => filter.clone(),
        None => ask("Filter (a folder, a URL or hf://owner/name)", FILTER)?,
    };
    let captioner = match &args.captioner {
        _ if args.filter_only => None,
        Some(captioner) => Some(captioner.clone()),
        None => Some(ask("Captioner; `none` only judges the texts of the input", CAPTIONER)?),
    };
    Ok(Models { filter, captioner: captioner.filter(|captioner| captioner != "none") })
}

/// An answer from the terminal; without a terminal, or with an empty answer, the default.
fn ask(question: &str, default: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Ok(default.to_owned());
    }
    capfilt_console::line(format!("{question} [{default}]:"));
    let mut answer = String::new();
    input.lock().read_line(&mut answer).context("cannot read the answer").or_environment_error()?;
    match answer.trim() {
        "" if answer.is_empty() => {
            Err(anyhow!("the input of the terminal ended; nothing was written")).or_usage_error()
        }
        "" => Ok(default.to_owned()),
        answer => Ok(answer.to_owned()),
    }
}
