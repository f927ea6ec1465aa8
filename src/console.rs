//! The one door to standard output and standard error.
//!
//! Standard output carries what a command was asked for. When its reader has gone (`| head`), the rest is
//! dropped without a word and the command ends as it would have; when it cannot be written (a full disk), the
//! program says so once and ends with the environment's code. Standard error carries lines for people and the
//! log: as text, or every line one JSON object. What cannot be written there is dropped.

use indicatif::ProgressBar;
use std::{
    fmt,
    io::{self, ErrorKind, IsTerminal as _, Write as _},
    sync::{Mutex, OnceLock, PoisonError},
};
use tracing_subscriber::EnvFilter;

/// Form of the lines on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Lines for people, among the events of a JSON log.
const TARGET: &str = "capfilt::says";

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// The bar that is on the screen: it steps aside for every line.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Why standard output takes no more.
static OUTPUT_LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints a line to standard output, with the syntax of `println!`, which panics where this does not.
macro_rules! outln {
    ($($argument:tt)*) => { $crate::console::output(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Writes to standard output; see [`outln!`].
pub fn output(text: fmt::Arguments<'_>) {
    if OUTPUT_LOST.get().is_none() {
        note(io::stdout().lock().write_fmt(text));
    }
}

/// Takes note of how a write to standard output went.
pub fn note(written: io::Result<()>) {
    if let Err(error) = written {
        let _ = OUTPUT_LOST.set(error);
    }
}

/// Whether nobody can read any more what is printed.
pub fn is_output_lost() -> bool {
    OUTPUT_LOST.get().is_some()
}

/// Writes out what is left of standard output. Returns why it could not be written, unless its reader has
/// gone.
pub fn flush() -> Option<&'static io::Error> {
    note(io::stdout().lock().flush());
    OUTPUT_LOST.get().filter(|why| why.kind() != ErrorKind::BrokenPipe)
}

/// Sets up the log. Called once, before anything is said.
pub fn open(format: LogFormat) {
    let filter = EnvFilter::try_from_env("CAPFILT_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt().with_writer(|| StandardError).with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => logs.with_env_filter(filter).with_target(false).init(),
        LogFormat::Json => {
            let people = format!("{TARGET}=info").parse().expect("the directive is sound");
            logs.with_env_filter(filter.add_directive(people)).json().init();
            // A bug's last words keep the form too.
            std::panic::set_hook(Box::new(|panic| tracing::error!(target: TARGET, "{panic}")));
        }
    }
    let _ = FORMAT.set(format);
}

/// As it is written on a command line: children log in the same form.
pub fn format() -> &'static str {
    if is_json() { "json" } else { "text" }
}

fn is_json() -> bool {
    matches!(FORMAT.get(), Some(LogFormat::Json))
}

/// Whether there is a terminal to draw on.
pub fn may_draw() -> bool {
    !is_json() && io::stderr().is_terminal()
}

/// A line for people.
pub fn line(text: impl AsRef<str>) {
    let text = text.as_ref();
    if is_json() {
        tracing::info!(target: TARGET, "{text}");
    } else {
        put(&format!("{text}\n"));
    }
}

/// What ends the program.
pub fn error(text: &str) {
    if is_json() { tracing::error!(target: TARGET, "{text}") } else { put(&format!("{text}\n")) }
}

/// A line that a child process wrote to its standard error.
pub fn line_of_child(worker: usize, text: &str) {
    let is_event = || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
    if is_json() && is_event() {
        put(&format!("{text}\n"));
    } else {
        line(format!("worker {worker}: {text}"));
    }
}

/// The bar every line steps around from now on; `None` when it is gone.
pub fn set_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn put(text: &str) {
    let _ = StandardError.write_all(text.as_bytes());
}

/// Standard error, around the bar.
struct StandardError;

impl io::Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let write = || io::stderr().lock().write_all(bytes);
        // An error would make the log complain about it on standard error, and panic when that fails too.
        let _ = bar.map_or_else(write, |bar| bar.suspend(write));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
