//! A worker process from the view of its parent: it reads assignments from standard input and writes events
//! to standard output. The cause of its exit is classified.
//!
//! ```text
//! WorkerProcess ─assign─▶ writer task ─▶ stdin │ process │ stdout ─▶ reader task ─▶ WorkerMessage::Event
//!   close: drops the writer            │         │ stderr ─▶ reader task ─▶ WorkerMessage::Line
//!   drop or kill: SIGKILL              └─────────┘ exit ───▶ supervisor ──▶ WorkerMessage::Exited, the last
//! ```

use super::oom_watch::OomWatch;
use capfilt_schemas::worker_protocol::{Assignment, Event, SHARDS_IN_CHILD};
use std::{
    collections::VecDeque, os::unix::process::ExitStatusExt as _, process::ExitStatus, process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Lines of standard error that are kept for the error message when the process dies.
const LAST_LINES: usize = 20;

/// Time during which the pipes of a dead process are still read; a process that it started may hold them
/// open.
const PIPES_AFTER_EXIT: Duration = Duration::from_secs(2);

/// A message of a worker process, with the worker's number.
pub type FromWorker = (usize, WorkerMessage);

/// Message from a worker process, or from one of its pipes.
#[derive(Debug)]
pub enum WorkerMessage {
    /// Event of the protocol.
    Event(Event),
    /// A line of standard error, or a line of standard output that is not an event (a library prints it).
    Line(String),
    /// The process is gone; nothing follows.
    Exited(Exit),
}

/// Exit of a worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Cause of the exit.
    pub cause: ExitCause,
    /// Text for people: "exit code 101", "signal 11 (SIGSEGV)".
    pub how: String,
    /// Last lines of standard error.
    pub last_words: Vec<String>,
}

/// Cause of a process's exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCause {
    /// Exit code 0.
    Finished,
    /// Exit code 3: the process reports a broken environment (weights, device, bucket).
    Environment,
    /// The process failed: a panic, another exit code, or a signal that its own code raised.
    OfItsOwn,
    /// The kernel killed the process because memory ran out.
    OutOfMemory,
    /// Another process sent a signal: a scheduler, a person or the parent.
    FromOutside,
}

/// A running worker process. Dropping the value kills the process.
#[derive(Debug)]
pub struct WorkerProcess {
    assignments: Option<mpsc::Sender<String>>,
    kill: Option<oneshot::Sender<()>>,
}

impl WorkerProcess {
    /// Starts the process; its messages arrive in `messages`.
    pub fn spawn(
        mut command: Command,
        worker: usize,
        messages: mpsc::Sender<FromWorker>,
    ) -> std::io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Own process group: Ctrl-C in a terminal reaches only the parent, which decides how the worker
        // process ends.
        command.process_group(0);
        let mut process = command.spawn()?;
        let missing = "the pipe is requested above";
        let (stdin, stdout) = (process.stdin.take().expect(missing), process.stdout.take().expect(missing));
        let stderr = process.stderr.take().expect(missing);
        // A worker process holds at most SHARDS_IN_CHILD assignments, so the channel never fills up.
        let (assignments, lines) = mpsc::channel(SHARDS_IN_CHILD);
        let (kill, killed) = oneshot::channel();
        tokio::spawn(write(stdin, lines));
        let events = tokio::spawn(read_events(BufReader::new(stdout).lines(), worker, messages.clone()));
        let words = tokio::spawn(read_words(BufReader::new(stderr).lines(), worker, messages.clone()));
        tokio::spawn(supervise(process, killed, events, words, worker, messages));
        Ok(Self { assignments: Some(assignments), kill: Some(kill) })
    }

    /// Sends an assignment. If the process is gone, `messages` carries its exit, and the shard is then
    /// returned.
    pub fn assign(&self, assignment: &Assignment) {
        let line = serde_json::to_string(assignment).expect("an assignment is plain data");
        if let Some(assignments) = &self.assignments {
            let _ = assignments.try_send(line);
        }
    }

    /// Closes standard input: the process finishes its shards and exits.
    pub fn close(&mut self) {
        self.assignments = None;
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        if let Some(kill) = self.kill.take() {
            let _ = kill.send(());
        }
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(format!("{line}\n").as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn read_events(
    mut lines: Lines<BufReader<ChildStdout>>,
    worker: usize,
    messages: mpsc::Sender<FromWorker>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        let said =
            serde_json::from_str(&line).map_or_else(|_| WorkerMessage::Line(line), WorkerMessage::Event);
        if messages.send((worker, said)).await.is_err() {
            return;
        }
    }
}

/// Forwards lines and keeps the last ones.
async fn read_words<R: AsyncRead + Unpin>(
    mut lines: Lines<BufReader<R>>,
    worker: usize,
    messages: mpsc::Sender<FromWorker>,
) -> Vec<String> {
    let mut last = VecDeque::with_capacity(LAST_LINES);
    while let Ok(Some(line)) = lines.next_line().await {
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line.clone());
        let _ = messages.send((worker, WorkerMessage::Line(line))).await;
    }
    last.into()
}

async fn supervise(
    mut process: tokio::process::Child,
    killed: oneshot::Receiver<()>,
    events: JoinHandle<()>,
    words: JoinHandle<Vec<String>>,
    worker: usize,
    messages: mpsc::Sender<FromWorker>,
) {
    let (mut oom, mut was_killed) = (OomWatch::begin(), false);
    let status = tokio::select! {
        status = process.wait() => status,
        // A dropped sender is a request to kill too.
        _ = killed => {
            was_killed = true;
            let _ = process.start_kill();
            process.wait().await
        }
        () = oom.watch() => unreachable!("a watch has no end"),
    };
    // All messages precede the exit, so that a commit just before a crash is not lost.
    let _ = tokio::time::timeout(PIPES_AFTER_EXIT, events).await;
    let words = tokio::time::timeout(PIPES_AFTER_EXIT, words).await;
    let last_words = words.ok().and_then(Result::ok).unwrap_or_default();
    let (cause, how) = match status {
        Ok(status) if !was_killed && status.signal() == Some(SIGKILL) && oom.has_struck() => {
            (ExitCause::OutOfMemory, format!("{}: the kernel ended it, out of memory", shown(status)))
        }
        Ok(status) => (cause_of(status), shown(status)),
        Err(error) => (ExitCause::FromOutside, format!("its exit status could not be read: {error}")),
    };
    let _ = messages.send((worker, WorkerMessage::Exited(Exit { cause, how, last_words }))).await;
}

/// The signal of the kernel's out-of-memory killer; other processes may send it too.
const SIGKILL: i32 = 9;

/// Signals that a process's own code raises, with their names.
const OWN_SIGNALS: [(i32, &str); 7] = [
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (11, "SIGSEGV"),
    (31, "SIGSYS"),
];

fn cause_of(status: ExitStatus) -> ExitCause {
    match (status.code(), status.signal()) {
        (Some(0), _) => ExitCause::Finished,
        (Some(3), _) => ExitCause::Environment,
        (_, Some(signal)) if OWN_SIGNALS.iter().all(|(own, _)| *own != signal) => ExitCause::FromOutside,
        _ => ExitCause::OfItsOwn,
    }
}

fn shown(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => {
            let known = OWN_SIGNALS
                .iter()
                .chain(&[(2, "SIGINT"), (SIGKILL, "SIGKILL"), (15, "SIGTERM")])
                .find(|(own, _)| *own == signal);
            known.map_or_else(|| format!("signal {signal}"), |(_, name)| format!("signal {signal} ({name})"))
        }
        (None, None) => status.to_string(),
    }
}
