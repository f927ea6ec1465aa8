//! The one door to standard error: lines for people, and the log. As text, or every line one JSON object.

use crate::args::LogFormat;
use indicatif::ProgressBar;
use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, OnceLock, PoisonError},
};
use tracing_subscriber::EnvFilter;

/// Lines for people, among the events of a JSON log.
const TARGET: &str = "capfilt::says";

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// The bar that is on the screen: it steps aside for every line.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

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
        bar.map_or_else(write, |bar| bar.suspend(write)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
