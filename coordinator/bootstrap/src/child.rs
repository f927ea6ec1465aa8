//! Runs a step of the loop in a separate process, so that its memory and device memory are free afterwards.

use anyhow::Context as _;
use capfilt_console::{self as console, Exit, ExitCodeExt as _, Failure};
use std::{process::Stdio, time::Duration};
use tokio::{process::Command, sync::watch, time::timeout};

/// Limit for a stopping step to save its state.
const GRACE: Duration = Duration::from_secs(60);

/// Runs this program with arguments until it exits or the loop is stopped. The step shuts down cleanly when
/// its standard input ends, which also happens when the loop's process is killed.
pub async fn run(arguments: &[String], mut stop: watch::Receiver<bool>) -> Result<Exit, Failure> {
    let mut command = Command::new(console::own_program().or_environment_error()?);
    command.args(arguments).arg("--end-with-parent").args(["--log-format", console::format()]);
    // The loop prints the result of the step.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().context("cannot start a step's process").or_environment_error()?;
    let stdin = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status,
        _ = stop.wait_for(|stopped| *stopped) => {
            drop(stdin);
            let stopped = timeout(GRACE, child.wait()).await;
            stopped.unwrap_or_else(|_| Err(std::io::Error::other("the process did not stop within 60 s")))
        }
    };
    let status = status.context("cannot wait for the process of a step").or_environment_error()?;
    Ok(match status.code() {
        Some(0) => Exit::Done,
        Some(1) => Exit::WithQuarantine,
        Some(2) => Exit::Usage,
        Some(130) => Exit::Interrupted,
        _ => Exit::Environment,
    })
}
