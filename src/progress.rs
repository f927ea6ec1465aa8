//! Progress of a job, and the Prometheus metrics.

use capfilt_console as console;
use capfilt_coordinator::{
    dispatch::{Change, Observation, Progress, Trouble},
    metrics::SharedMetrics,
};
use capfilt_schemas::{status::RowStatus, tally::Tally};
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
    pub fn start(metrics: SharedMetrics) -> Self {
        let display = console::Progress::start("{bar:24} {pos}/{len} rows  {msg}");
        Self { display, trouble: None, metrics, started: Instant::now(), rows_before: None }
    }

    pub fn show(&mut self, seen: Observation) {
        self.metrics.with(|metrics| metrics.take_in(&seen));
        let Observation { change, progress } = seen;
        self.tell_of(progress.trouble.as_ref());
        let done = if progress.is_share { 0 } else { progress.rows_done };
        let before = *self.rows_before.get_or_insert(done);
        match change {
            Change::WorkerSaid { worker, line } => console::line_of_child(*worker, line),
            change => news(change).iter().for_each(console::line),
        }
        let message = self.message(progress, before);
        let Progress { rows_done, rows_total, rows_here, is_share, .. } = *progress;
        let done = if is_share { rows_here } else { rows_done };
        self.display.show(done, rows_total, message, |message| match is_share {
            true => format!("{rows_here} rows here  {message}"),
            false => format!("{rows_done}/{rows_total} rows  {message}"),
        });
    }

    /// Prints a line when a trouble begins and when it ends; the progress lines have its duration.
    fn tell_of(&mut self, trouble: Option<&Trouble>) {
        match (&self.trouble, trouble) {
            (Some(before), Some(now)) if before.is_same(now) => {}
            (_, Some(now)) => console::line(now.to_string()),
            (Some(Trouble::NatsLost { url, lasts, .. }), None) => {
                console::line(format!("NATS at {url} answers again, after {} s", lasts.as_secs()));
            }
            (Some(_) | None, None) => {}
        }
        self.trouble = trouble.cloned();
    }

    pub fn finish(self) {
        self.display.finish();
    }

    fn message(&self, progress: &Progress, before: u64) -> String {
        let done = if progress.is_share { progress.rows_here } else { progress.rows_done };
        let rate = (done - before.min(done)) as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let left = (progress.rows_total - progress.rows_done.min(progress.rows_total)) as f64;
        let eta = match &progress.trouble {
            Some(trouble) => trouble.to_string(),
            // A worker of a cluster does not know the number of remaining rows.
            None if progress.is_share && rate > 0.0 => String::new(),
            None if rate > 0.0 => format!("{:.0} s left", left / rate),
            None => "starting".to_owned(),
        };
        let retries =
            if progress.retries > 0 { format!("  {} retries", progress.retries) } else { String::new() };
        let machines = match progress.machines.len() {
            0 => String::new(),
            machines => format!("  {machines} workers"),
        };
        format!("{rate:.1} rows/s  {eta}  {}{retries}{machines}", kept(&progress.tally))
    }
}

/// Text with the kept shares, and the number of skipped rows by status.
pub fn kept(tally: &Tally) -> String {
    let judged_web = tally.web.get(&capfilt_schemas::status::WebStatus::Judged).copied().unwrap_or(0);
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    let skipped = tally.rows.iter().filter(|(status, _)| **status != RowStatus::Judged);
    let skipped: Vec<String> = skipped.map(|(status, rows)| format!("{rows} {status}")).collect();
    let skipped =
        if skipped.is_empty() { String::new() } else { format!("  skipped: {}", skipped.join(", ")) };
    let (web, synthetic) = (share(tally.web_kept, judged_web), share(tally.synthetic_kept, tally.synthetic));
    format!("kept: web {web:.1} %, synthetic {synthetic:.1} %{skipped}")
}

/// Text of a change that gets a separate line.
fn news(change: &Change) -> Option<String> {
    match change {
        Change::WorkerReady { worker, device } => Some(format!("worker {worker} on {device} is ready")),
        Change::WorkerEnded { worker, how } => Some(format!("worker {worker} ended: {how}")),
        // The log reports failures, each in the span of its attempt; the program's error also reports the
        // failure that ends the program.
        Change::Retrying { .. }
        | Change::Quarantined { .. }
        | Change::GivenBack { .. }
        | Change::Stopping { .. } => None,
        Change::GivesUp { .. } => None,
        Change::Joined { worker } => Some(format!("worker {worker} joined")),
        Change::Left { worker, why } => Some(format!("worker {worker} left: {why}")),
        Change::Coordinator(other) => Some(format!(
            "another coordinator, {}, has been running on this job for {:.0} s; that is harmless: either of \
             the two can finish the job alone",
            other.coordinator, other.seconds_up
        )),
        Change::QueueWaits { why } => Some(format!("{why}; trying again")),
        Change::QueueFound => {
            Some("the job's queue exists: another coordinator is running or was; that is harmless".to_owned())
        }
        Change::QueueLost => {
            Some("the job's queue was gone or stuck; filling it again from the bucket".to_owned())
        }
        Change::Leaving { given_back, finishing } => {
            Some(format!("leaving: {given_back} shards are returned, {finishing} are being finished"))
        }
        Change::Ends
        | Change::WorkerStarted { .. }
        | Change::WorkerSaid { .. }
        | Change::RowsDone
        | Change::Committed { .. } => None,
    }
}
