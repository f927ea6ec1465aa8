//! Pipes of a worker process: assignments from the parent process, events to it.

use capfilt_schemas::worker_protocol::{Assignment, Event};
use std::io::{self, Write as _};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, stdin},
    sync::mpsc,
};

/// Reason why assignments cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum PipeError {
    #[error("the parent's pipe broke")]
    Broken(#[source] io::Error),
    #[error("the parent process sent a line that is not an assignment")]
    Garbled(#[source] serde_json::Error),
}

/// Forwards the assignments on standard input until the pipe is closed or the parent process has ended.
///
/// # Errors
/// A broken pipe, and a line that is not an assignment.
pub async fn read_assignments(assign: mpsc::Sender<Assignment>) -> Result<(), PipeError> {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.map_err(PipeError::Broken)? {
        let assignment = serde_json::from_str(&line).map_err(PipeError::Garbled)?;
        if assign.send(assignment).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes an event to standard output. An ended parent process receives no events; the commit in the bucket
/// decides.
pub fn say(event: &Event) {
    let line = serde_json::to_string(event).expect("an event is plain data");
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
