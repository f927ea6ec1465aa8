//! `capfilt demo` without options: makes data, cleans it, and measures the verdicts, in one folder.

use crate::args::Args;
use anyhow::Context as _;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _};
use capfilt_demo_data::job;
use clap::Parser as _;
use std::{fs, path::Path};

pub async fn run(folder: Option<&Path>) -> Ending {
    let folder = folder.unwrap_or(Path::new("capfilt-demo"));
    let program = std::env::current_exe().or_environment_error()?;
    let models = job::models(&program).or_environment_error()?.display().to_string();
    let at = |name: &str| folder.join(name).display().to_string();
    let (web, url, settings) = (at("web"), at("job"), at("job.toml"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&settings, job::settings(&url, &web, &models)))
        .with_context(|| format!("cannot write {settings}"))
        .or_environment_error()?;
    let data = ["--seed", "2", "--file-rows", "800", "--group-rows", "200"];
    if !Path::new(&web).exists() {
        execute(&[&["demo", "--make-data", &web][..], &data].concat()).await?;
    }
    match execute(&["run", "-c", &settings]).await? {
        Exit::Done => execute(&["demo", "--truth", &url, "--input", &web]).await,
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
