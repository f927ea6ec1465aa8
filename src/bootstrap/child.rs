//! A step as a process of its own: its memory, on the device too, is free when it is over.

use crate::exit::{Exit, ExitCodeExt as _, Failure};
use anyhow::Context as _;
use std::{process::Stdio, time::Duration};
use tokio::{process::Command, sync::watch, time::timeout};

/// How long a step that is told to stop may take to save where it is.
const GRACE: Duration = Duration::from_secs(60);

/// Runs this program with arguments, to its end or ours: it stops, in order, when its standard input ends,
/// which is also what happens when we are killed.
pub async fn run(arguments: &[String], mut stop: watch::Receiver<bool>) -> Result<Exit, Failure> {
    let program =
        std::env::current_exe().context("cannot find this program's own file").or_environment_error()?;
    let mut command = Command::new(program);
    command.args(arguments).arg("--end-with-parent").args(["--log-format", crate::console::format()]);
    // What it prints is said by the loop.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().context("cannot start a step's process").or_environment_error()?;
    let life = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status,
        _ = stop.wait_for(|stopped| *stopped) => {
            drop(life);
            timeout(GRACE, child.wait()).await.unwrap_or_else(|_| Err(std::io::Error::other("it did not stop")))
        }
    };
    let status = status.context("a step's process").or_environment_error()?;
    Ok(match status.code() {
        Some(0) => Exit::Done,
        Some(1) => Exit::WithQuarantine,
        Some(2) => Exit::Usage,
        Some(130) => Exit::Interrupted,
        _ => Exit::Environment,
    })
}
