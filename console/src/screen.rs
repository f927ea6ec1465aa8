//! The whole window of a terminal, for a display that is drawn again and again.

use crate::{Exit, note};
use console::Term;
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, timeout_at},
};

/// Second page of the terminal, without a cursor and without a line break at the right margin.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

/// The first page again, as it was.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Columns and lines if the terminal does not report its size.
const USUAL: (usize, usize) = (80, 24);

/// The window of the terminal at standard output. The terminal is as before when this value is dropped, and
/// when SIGINT, SIGTERM or SIGHUP ends the process.
#[derive(Debug)]
pub struct Screen {
    resized: Option<Signal>,
}

impl Screen {
    /// Takes the window; `None` if standard output is not a terminal that can be drawn on. Call it within a
    /// runtime.
    pub fn open() -> Option<Self> {
        let is_able = std::env::var("TERM").is_ok_and(|name| !["", "dumb"].contains(&name.as_str()));
        if !io::stdout().is_terminal() || !is_able {
            return None;
        }
        let ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        // Without the signals, the terminal could not be restored.
        let [Ok(interrupt), Ok(terminate), Ok(hangup)] = ends else { return None };
        tokio::spawn(end_at_signal(interrupt, terminate, hangup));
        write(ENTER);
        Some(Self { resized: signal(SignalKind::window_change()).ok() })
    }

    /// Columns and lines of the window.
    pub fn size(&self) -> (usize, usize) {
        let known = Term::stdout().size_checked();
        known.map_or(USUAL, |(lines, columns)| (columns.into(), lines.into()))
    }

    /// Draws lines from the top, and clears the rest of the window.
    pub fn draw(&self, lines: &[String]) {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\n")));
    }

    /// Waits until a time; whether the window was resized before, which ends the wait.
    pub async fn is_resized_before(&mut self, until: Instant) -> bool {
        match &mut self.resized {
            Some(resized) => timeout_at(until, resized.recv()).await.is_ok_and(|signal| signal.is_some()),
            None => {
                tokio::time::sleep_until(until).await;
                false
            }
        }
    }

    /// Waits for a duration, and calls `draw` after each change of the size of the window.
    pub async fn wait(&mut self, duration: Duration, mut draw: impl FnMut(&Self)) {
        let until = Instant::now() + duration;
        while self.is_resized_before(until).await {
            draw(self);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(LEAVE);
    }
}

fn write(text: &str) {
    let mut output = io::stdout().lock();
    note(output.write_all(text.as_bytes()).and_then(|()| output.flush()));
}

/// Restores the terminal and ends the process at the first signal. The lock keeps other threads from drawing.
async fn end_at_signal(mut interrupt: Signal, mut terminate: Signal, mut hangup: Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    let mut output = io::stdout().lock();
    let _ = output.write_all(LEAVE.as_bytes()).and_then(|()| output.flush());
    Exit::Interrupted.leave();
}
