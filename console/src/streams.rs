//! The only module that writes to standard output and standard error.
//!
//! Standard output has the result of a command. If the reader of the pipe has ended (`| head`), the remaining
//! output is dropped silently and the exit code stays; on any other write error (a full disk) the program
//! reports the error once and exits with the environment's code. Standard error has lines for people and the
//! log: as text, or with one JSON object per line. Lines that cannot be written to standard error are
//! dropped.

use crate::spans;
use indicatif::ProgressBar;
use std::{
    fmt,
    io::{self, ErrorKind, IsTerminal as _, Write as _},
    sync::{Mutex, OnceLock, PoisonError},
};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Format of the lines on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Log target of lines for people in a JSON log.
const TARGET: &str = "capfilt::says";

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Progress bar on the terminal; each line is printed above the bar.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// First error of a write to standard output.
static OUTPUT_LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints a line to standard output, with the syntax of `println!`. `println!` panics on a write error, this
/// macro does not.
#[macro_export]
macro_rules! outln {
    ($($argument:tt)*) => { $crate::output(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Writes to standard output; see [`outln!`].
pub fn output(text: fmt::Arguments<'_>) {
    if OUTPUT_LOST.get().is_none() {
        note(io::stdout().lock().write_fmt(text));
    }
}

/// Records the error of a write to standard output.
pub fn note(written: io::Result<()>) {
    if let Err(error) = written {
        let _ = OUTPUT_LOST.set(error);
    }
}

/// Whether a write to standard output has failed, so that further output is lost.
pub fn is_output_lost() -> bool {
    OUTPUT_LOST.get().is_some()
}

/// Flushes standard output. Returns the write error, unless the reader of the pipe has ended.
pub fn flush() -> Option<&'static io::Error> {
    note(io::stdout().lock().flush());
    OUTPUT_LOST.get().filter(|why| why.kind() != ErrorKind::BrokenPipe)
}

/// Sets up the log. Called once, before the first line is printed.
pub fn open(format: LogFormat) {
    let filter = EnvFilter::try_from_env("CAPFILT_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs =
        tracing_subscriber::fmt::layer().with_writer(|| StandardError).with_ansi(io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(spans::begin());
    match format {
        LogFormat::Text => {
            registry.with(logs.with_target(false).with_filter(filter)).init();
        }
        LogFormat::Json => {
            let people = format!("{TARGET}=info").parse().expect("the directive is sound");
            registry.with(logs.json().with_filter(filter.add_directive(people))).init();
            // The message of a panic is also one JSON object.
            std::panic::set_hook(Box::new(|panic| tracing::error!(target: TARGET, "{panic}")));
        }
    }
    let _ = FORMAT.set(format);
    spans::problem().into_iter().for_each(|problem| line(format!("capfilt: {problem}")));
}

/// Value of `--log-format` for child processes, which log in the same format.
pub fn format() -> &'static str {
    if is_json() { "json" } else { "text" }
}

fn is_json() -> bool {
    matches!(FORMAT.get(), Some(LogFormat::Json))
}

/// Whether a progress bar may be drawn: standard error is a terminal and the log is text.
pub(crate) fn may_draw() -> bool {
    !is_json() && io::stderr().is_terminal()
}

/// Prints a line for people.
pub fn line(text: impl AsRef<str>) {
    let text = text.as_ref();
    if is_json() {
        tracing::info!(target: TARGET, "{text}");
    } else {
        put(&format!("{text}\n"));
    }
}

/// Prints the error that ends the program.
pub fn error(text: &str) {
    if is_json() { tracing::error!(target: TARGET, "{text}") } else { put(&format!("{text}\n")) }
}

/// Prints a line that a child process wrote to its standard error.
pub fn line_of_child(worker: usize, text: &str) {
    if is_json() && is_json_object(text) {
        put(&format!("{text}\n"))
    } else {
        line(format!("worker {worker}: {text}"))
    }
}

/// Prints a line that the only child process wrote to its standard error.
pub fn relay(text: &str) {
    if is_json() && is_json_object(text) { put(&format!("{text}\n")) } else { line(text) }
}

fn is_json_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}

/// Sets the progress bar that lines are printed above; `None` after the bar has ended.
pub(crate) fn set_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn put(text: &str) {
    let _ = StandardError.write_all(text.as_bytes());
}

/// Writer to standard error that suspends the progress bar.
struct StandardError;

impl io::Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let write = || io::stderr().lock().write_all(bytes);
        // The error is dropped: on an error, the log would write to standard error and panic if that fails.
        let _ = bar.map_or_else(write, |bar| bar.suspend(write));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
