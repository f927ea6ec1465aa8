//! Text of observations, for people.

use super::progress::{Change, Progress, Trouble};
use capfilt_schemas::{
    control::{Action, Control},
    status::RowStatus,
    tally::{Tally, TextTally},
};
use std::time::Duration;

impl Change {
    /// Text of a change that gets a separate line.
    pub fn news(&self) -> Option<String> {
        match self {
            Self::WorkerReady { worker, device } => Some(format!("worker {worker} on {device} is ready")),
            Self::WorkerEnded { worker, how } => Some(format!("worker {worker} ended: {how}")),
            // The log reports failures, each in the span of its attempt; the program's error also reports the
            // failure that ends the program.
            Self::Retrying { .. }
            | Self::Quarantined { .. }
            | Self::GivenBack { .. }
            | Self::Stopping { .. } => None,
            Self::GivesUp { .. } => None,
            Self::Joined { worker } => Some(format!("worker {worker} joined")),
            Self::Left { worker, why } => Some(format!("worker {worker} left: {why}")),
            Self::Coordinator(other) => Some(format!(
                "another coordinator, {}, has been running on this job for {:.0} s; that is harmless: either \
                 of the two can finish the job alone",
                other.coordinator, other.seconds_up
            )),
            Self::QueueWaits { why } => Some(format!("{why}; trying again")),
            Self::QueueFound => Some(
                "the job's queue exists: another coordinator is running or was; that is harmless".to_owned(),
            ),
            Self::QueueLost => {
                Some("the job's queue was gone or stuck; filling it again from the bucket".to_owned())
            }
            Self::Leaving { given_back, finishing } => {
                Some(format!("leaving: {given_back} shards are returned, {finishing} are being finished"))
            }
            Self::Controlled(control) => Some(controlled(control)),
            Self::Ends
            | Self::WorkerStarted { .. }
            | Self::WorkerSaid { .. }
            | Self::RowsDone
            | Self::Committed { .. } => None,
        }
    }
}

/// Sentence about a control that came into force; the name of its sender is quoted.
pub(super) fn controlled(control: &Control) -> String {
    let who = &control.who;
    match control.action {
        Action::Pause => format!(
            "paused by {who:?}: running shards finish, no other is handed out; `capfilt control --job URL \
             resume` resumes the job"
        ),
        Action::Resume => format!("resumed by {who:?}"),
        Action::Drain => format!(
            "drained by {who:?}: running shards finish, then this process ends; `capfilt run` with the same \
             settings resumes the job"
        ),
    }
}

impl Trouble {
    /// Text about the end of an obstacle, if it gets a line.
    pub fn end(&self) -> Option<String> {
        match self {
            Self::NatsLost { url, lasts, .. } => {
                Some(format!("NATS at {url} answers again, after {} s", lasts.as_secs()))
            }
            Self::NoWorker { .. } | Self::NoCoordinator { .. } => None,
        }
    }
}

impl Progress {
    /// Finished rows, of this process or of the whole job.
    pub fn rows_shown(&self) -> u64 {
        if self.is_share { self.rows_here } else { self.rows_done }
    }

    /// Text with the number of finished rows.
    pub fn rows_text(&self) -> String {
        let Self { rows_done, rows_total, rows_here, .. } = self;
        if self.is_share {
            format!("{rows_here} rows here")
        } else {
            let about = if self.rows_exact { "" } else { "about " };
            format!("{rows_done}/{about}{rows_total} rows")
        }
    }

    /// Text with speed, remaining time and kept shares; `before` rows were finished when this run started,
    /// `since_start` ago.
    pub fn message(&self, before: u64, since_start: Duration) -> String {
        let done = self.rows_shown();
        let rate = (done - before.min(done)) as f64 / since_start.as_secs_f64().max(0.001);
        let left = (self.rows_total - self.rows_done.min(self.rows_total)) as f64;
        let eta = match &self.trouble {
            Some(trouble) => trouble.to_string(),
            // A worker of a cluster does not know the number of remaining rows.
            None if self.is_share && rate > 0.0 => String::new(),
            None if rate > 0.0 => format!("{:.0} s left", left / rate),
            None => "starting".to_owned(),
        };
        let retries = if self.retries > 0 { format!("  {} retries", self.retries) } else { String::new() };
        let machines = match self.machines.len() {
            0 => String::new(),
            machines => format!("  {machines} workers"),
        };
        format!("{rate:.1} rows/s  {eta}  {}{retries}{machines}", kept(&self.tally))
    }
}

/// Text with the kept shares, and the number of skipped rows by status.
pub fn kept(tally: &Tally) -> String {
    let skipped = tally.rows.iter().filter(|(status, _)| **status != RowStatus::Judged);
    let skipped: Vec<String> = skipped.map(|(status, rows)| format!("{rows} {status}")).collect();
    let skipped =
        if skipped.is_empty() { String::new() } else { format!("  skipped: {}", skipped.join(", ")) };
    let share = |texts: &TextTally| 100.0 * texts.kept_share().unwrap_or(0.0);
    let kept = tally.texts.iter().map(|(source, texts)| format!("{source} {:.1} %", share(texts)));
    let kept: Vec<String> = kept.collect();
    format!("kept: {}{skipped}", if kept.is_empty() { "nothing yet".to_owned() } else { kept.join(", ") })
}
