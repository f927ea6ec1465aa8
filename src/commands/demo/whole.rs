//! `capfilt demo` without options: makes data, cleans it, and measures the verdicts, in one folder.

use crate::args::Args;
use anyhow::{Context as _, anyhow};
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure};
use clap::Parser as _;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Settings of the job of `make demo`, with locations in a checkout.
const SETTINGS: &str = include_str!("../../../demo/demo.toml");

/// Folders with the demo's models, relative to the folder of the program: of a wheel, of an installation.
const BESIDE_PROGRAM: [&str; 2] = ["../share/demo/models", "../share/capfilt/demo/models"];

pub async fn run(folder: Option<&Path>) -> Ending {
    let folder = folder.unwrap_or(Path::new("capfilt-demo"));
    let models = models()?;
    let at = |name: &str| folder.join(name).display().to_string();
    let (web, job, settings) = (at("web"), at("job"), at("job.toml"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&settings, settings_with(&job, &web, &models)))
        .with_context(|| format!("cannot write {settings}"))
        .or_environment_error()?;
    let data = ["--seed", "2", "--file-rows", "800", "--group-rows", "200"];
    if !Path::new(&web).exists() {
        execute(&[&["demo", "--make-data", &web][..], &data].concat()).await?;
    }
    match execute(&["run", "-c", &settings]).await? {
        Exit::Done => execute(&["demo", "--truth", &job, "--input", &web]).await,
        exit => Ok(exit),
    }
}

/// Executes a command in this process, after printing it as a shell would read it.
async fn execute(arguments: &[&str]) -> Ending {
    console::line(format!("$ capfilt {}", arguments.join(" ")));
    let program = ["capfilt"].into_iter().chain(arguments.iter().copied());
    let args = Args::try_parse_from(program).or_usage_error()?;
    // The command may be another `demo`, and a future cannot contain itself.
    Box::pin(super::super::run(args.command)).await
}

fn models() -> Result<String, Failure> {
    let program = std::env::current_exe().or_environment_error()?;
    let beside = BESIDE_PROGRAM.iter().filter_map(|path| Some(program.parent()?.join(path)));
    let candidates = beside.chain([PathBuf::from("demo/models")]);
    let found = candidates.filter_map(|path| path.canonicalize().ok()).find(|path| path.is_dir());
    let none = || {
        anyhow!(
            "the demo's models are neither beside {} nor in demo/models; install the wheel, or run \
             `make install`, or run this command in a checkout",
            program.display()
        )
    };
    Ok(found.ok_or_else(none).or_environment_error()?.display().to_string())
}

fn settings_with(job: &str, web: &str, models: &str) -> String {
    let located = [("out/demo", job), ("demo/web", web), ("demo/models", models)];
    located.iter().fold(SETTINGS.to_owned(), |text, (from, to)| {
        text.replace(&format!("\"{from}"), &format!("\"{}", to.replace('\\', "\\\\").replace('"', "\\\"")))
    })
}
