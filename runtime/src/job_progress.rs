//! Progress of a job, and the Prometheus metrics.

use capfilt_console as console;
use capfilt_coordinator::{
    dispatch::{Change, Observation, Trouble},
    metrics::SharedMetrics,
};
use std::time::Instant;

/// Display of the dispatcher's observations.
pub struct JobProgress {
    display: console::Progress,
    /// Trouble that was printed last.
    trouble: Option<Trouble>,
    metrics: SharedMetrics,
    started: Instant,
    /// Rows that were done before this run; they do not count for its speed.
    rows_before: Option<u64>,
}

impl JobProgress {
    /// Starts the display.
    pub fn start(metrics: SharedMetrics) -> Self {
        let display = console::Progress::start("{bar:24} {pos}/{len} rows  {msg}");
        Self { display, trouble: None, metrics, started: Instant::now(), rows_before: None }
    }

    /// Shows an observation.
    pub fn show(&mut self, seen: Observation) {
        self.metrics.with(|metrics| metrics.take_in(&seen));
        let Observation { change, progress } = seen;
        self.tell_of(progress.trouble.as_ref());
        let done = if progress.is_share { 0 } else { progress.rows_done };
        let before = *self.rows_before.get_or_insert(done);
        match change {
            Change::WorkerSaid { worker, line } => console::line_of_child(*worker, line),
            change => change.news().iter().for_each(console::line),
        }
        let message = progress.message(before, self.started.elapsed());
        let (done, all) = (progress.rows_shown(), progress.rows_total);
        self.display.show(done, all, message, |message| format!("{}  {message}", progress.rows_text()));
    }

    /// Prints a line when a trouble begins and when it ends; the progress lines have its duration.
    fn tell_of(&mut self, trouble: Option<&Trouble>) {
        let before = self.trouble.as_ref();
        if before.zip(trouble).is_none_or(|(before, now)| !before.is_same(now)) {
            before.and_then(Trouble::end).iter().for_each(console::line);
            trouble.iter().for_each(|now| console::line(now.to_string()));
        }
        self.trouble = trouble.cloned();
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.display.finish();
    }
}
