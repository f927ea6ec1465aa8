//! Progress of long work: a bar on a terminal, else a line every five seconds.

use crate::streams::{line, may_draw, set_bar};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Interval of progress lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Template of a bar without words.
const PLAIN: &str = "{wide_bar} {pos}/{len}";

/// Display of the progress of one work.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    /// Time of the last line; `None` if the next line is due.
    last_line: Option<Instant>,
}

impl Progress {
    /// Starts the display with an empty bar. The first line is due after five seconds.
    ///
    /// # Panics
    /// If `template`, the form of the bar, is not a template of `indicatif`.
    pub fn start(template: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("the template is sound");
        let bar = may_draw().then(|| ProgressBar::new(0).with_style(style));
        set_bar(bar.clone());
        Self { bar, last_line: Some(Instant::now()) }
    }

    /// Starts the display with a bar that has no words.
    pub fn plain() -> Self {
        Self::start(PLAIN)
    }

    /// Makes the next line due at once.
    pub fn make_line_due(&mut self) {
        self.last_line = None;
    }

    /// Moves the bar to `done` of `all` with a message; without a bar, prints `text` of the message if a line
    /// is due.
    pub fn show(&mut self, done: u64, all: u64, message: String, text: impl FnOnce(String) -> String) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
            bar.set_message(message);
        } else if self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            line(text(message));
        }
    }

    /// Moves the bar to `done` of `all`; without a bar, prints nothing.
    pub fn show_bar(&self, done: u64, all: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        set_bar(None);
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
