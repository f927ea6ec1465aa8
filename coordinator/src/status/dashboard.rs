//! Status of a job for a window of a terminal: bars and sentences, each in one line that fits.

use super::{
    job_status::Status,
    page::{about, live_worker, plain, queue, speed, worker_pace},
    throughput::{StageSeconds, Throughput},
};
use crate::dispatch::cluster::Live;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns of the labels.
const LABEL: usize = 8;

/// Columns of the widest and of the narrowest bar; a narrower window has no bars.
const BAR: (usize, usize) = (40, 6);

/// Columns that a line with a bar leaves for its text.
const TEXT: usize = 34;

impl Status {
    /// The status as at most `rows` lines of at most `columns` columns, without a control character. In a
    /// window with few lines, the last lines are left out.
    pub fn dashboard(&self, live: Option<&Live>, url: &str, columns: usize, rows: usize) -> Vec<String> {
        let mut lines = vec![plain(url)];
        lines.extend(self.progress(columns));
        lines.extend(self.pace.iter().flat_map(|pace| throughput(pace, columns)));
        lines.extend(self.sources(columns));
        lines.extend(self.troubles());
        lines.extend(self.workers(live));
        if self.to_seal {
            lines.push(labelled("not done", "every shard has its result; `capfilt run` seals the job"));
        }
        let left = lines.len().saturating_sub(rows);
        if left > 0 && rows > 0 {
            lines.truncate(rows - 1);
            lines.push(format!("{} more lines: the window is too low", left + 1));
        }
        lines.truncate(rows);
        lines.iter().map(|line| cut(line, columns)).collect()
    }

    fn progress(&self, columns: usize) -> [String; 2] {
        let line = |label: &str, done: u64, all: u64, about: &str| {
            let share = if all == 0 { 0.0 } else { done as f64 / all as f64 };
            bar_line(label, share, &format!("{done} of {about}{all}"), columns)
        };
        let (shards, rows) = (&self.shards, &self.rows);
        let settled = |states: &super::States| states.committed + states.quarantined;
        [
            line("rows", settled(rows), rows.planned, about(self.rows_exact)),
            line("shards", settled(shards), shards.planned, ""),
        ]
    }

    /// Kept share of each text column and of the captions.
    fn sources(&self, columns: usize) -> Vec<String> {
        let judged = self.kept.texts.iter().filter(|(_, texts)| texts.judged > 0);
        let line = |(source, texts): (&String, &super::KeptTexts)| {
            let text = format!("{} of {} {} texts", texts.kept, texts.judged, plain(source));
            bar_line("kept", texts.share.unwrap_or_default(), &text, columns)
        };
        judged.map(line).collect()
    }

    fn troubles(&self) -> Vec<String> {
        let quarantined = (self.shards.quarantined > 0).then(|| {
            let (shards, rows) = (self.shards.quarantined, self.rows.quarantined);
            labelled("lost", &format!("{shards} shards with {rows} rows are in quarantine: `capfilt retry`"))
        });
        let classes = self.failures.iter();
        let failed = classes.map(|(class, count)| labelled("failed", &format!("{count} attempts: {class}")));
        let newest = self.newest_failures.iter().map(|failure| {
            let (shard, class, worker) = (&failure.shard, failure.class, plain(&failure.worker));
            labelled("error", &format!("{class}: {} ({shard}, {worker})", plain(&failure.message)))
        });
        quarantined.into_iter().chain(failed).chain(newest).collect()
    }

    fn workers(&self, live: Option<&Live>) -> Vec<String> {
        if let Some(live) = live {
            let queue = queue(live).into_iter().filter(|_| !self.done).map(|text| labelled("queue", &text));
            return queue.chain(live.workers.iter().map(|it| labelled("worker", &live_worker(it)))).collect();
        }
        let workers = self.pace.iter().flat_map(|pace| &pace.workers);
        let label = |is_slow, is_silent| match (is_slow, is_silent) {
            (_, true) => "silent",
            (true, _) => "slow",
            _ => "worker",
        };
        workers.map(|it| labelled(label(it.is_slow, it.is_silent), &worker_pace(it))).collect()
    }
}

/// Speed, time left, the slowest stage, and the share of each stage.
fn throughput(pace: &Throughput, columns: usize) -> Vec<String> {
    let mut lines = vec![labelled("speed", &speed(pace))];
    lines.extend(limit(&pace.stage_seconds).map(|text| labelled("limit", &text)));
    for stage in pace.stage_seconds.shares() {
        lines.push(bar_line(stage.name, stage.share, "of the stages' time", columns));
    }
    lines
}

/// A sentence about the stage that limits the speed, with advice.
fn limit(stages: &StageSeconds) -> Option<String> {
    let ([first, ..], limits) = stages.ranked();
    let advice = match first.name {
        "fetch" => "the store or the network limits the speed",
        "decode" => "more workers.decode_threads or input.jpeg_reduction help",
        "device" => "the models limit the speed, as they should",
        _ => "the store limits the speed",
    };
    limits.then(|| format!("{} takes {:.0} % of the time: {advice}", first.name, 100.0 * first.share))
}

fn labelled(label: &str, text: &str) -> String {
    format!("{label:<LABEL$}{text}")
}

/// A line with a bar, if the window is wide enough for one.
fn bar_line(label: &str, share: f64, text: &str, columns: usize) -> String {
    let share = share.clamp(0.0, 1.0);
    let percent = format!("{:5.1} %", 100.0 * share);
    let room = columns.saturating_sub(LABEL + TEXT).min(BAR.0);
    if room < BAR.1 {
        return labelled(label, &format!("{percent}  {text}"));
    }
    let full = (share * room as f64).round() as usize;
    labelled(label, &format!("{}{} {percent}  {text}", "#".repeat(full), "-".repeat(room - full)))
}

/// The beginning of a line that fits into `columns`; an ellipsis marks what is left out.
fn cut(line: &str, columns: usize) -> String {
    if line.width() <= columns {
        return line.to_owned();
    }
    let (mut kept, mut width) = (String::new(), 0);
    for c in line.chars() {
        width += c.width().unwrap_or(0);
        // The ellipsis has one column.
        if width >= columns {
            break;
        }
        kept.push(c);
    }
    // A sequence of characters may be wider than its characters.
    while kept.width() >= columns.max(1) {
        kept.pop();
    }
    if columns > 0 { kept + "…" } else { kept }
}

#[cfg(test)]
#[path = "dashboard/tests.rs"]
mod tests;
