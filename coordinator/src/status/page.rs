//! Text of a job's status.

use super::{
    job_status::{States, Status},
    throughput::{Throughput, WorkerThroughput},
};
use crate::dispatch::cluster::{Live, LiveWorker};

/// Number of slow and of silent workers that the page lists; the rules are in [`Throughput`].
const SHOWN: usize = 3;

const UNSEALED: &str = "every shard has its result, but the job is not sealed: run `capfilt run` to seal";

impl Status {
    /// Status in one line, for a log.
    pub fn line(&self, live: Option<&Live>) -> String {
        let (shards, rows) = (&self.shards, &self.rows);
        let workers = live.map(|live| format!("  {} workers", live.workers.len())).unwrap_or_default();
        format!(
            "{} of {} shards, {} of {}{} rows  {}{workers}",
            shards.committed,
            shards.planned,
            rows.committed,
            about(self.rows_exact),
            rows.planned,
            self.pace.as_ref().map_or("not begun".to_owned(), speed)
        )
    }

    /// Status as lines with a label, for people.
    pub fn page(&self, live: Option<&Live>) -> String {
        let mut page = String::new();
        let mut put = |label: &str, text: String| page.push_str(&format!("{label:<8}{text}\n"));
        counts(self, &mut put);
        self.pace.iter().for_each(|pace| throughput(pace, &mut put));
        self.failures.iter().for_each(|(class, count)| put("failed", format!("{count} attempts: {class}")));
        self.refused
            .iter()
            .for_each(|file| put("refused", plain(&format!("{}: {}", file.path, file.reason))));
        if let Some(live) = live {
            if !self.done {
                queue(live).into_iter().for_each(|text| put("queue", text));
            }
            live.workers.iter().for_each(|worker| put("worker", live_worker(worker)));
        }
        match &self.manifest {
            Some(manifest) if self.done => put("done", manifest.clone()),
            _ if self.to_seal => put("not done", UNSEALED.to_owned()),
            _ => put("not done", String::new()),
        }
        page
    }
}

fn counts(status: &Status, put: &mut impl FnMut(&str, String)) {
    put("shards", states(&status.shards, true));
    put("rows", states(&status.rows, status.rows_exact));
    let by_status: Vec<String> =
        status.rows_by_status.iter().map(|(status, rows)| format!("{rows} {status}")).collect();
    if !by_status.is_empty() {
        put("", format!("{}{}", by_status.join(", "), estimated(status)));
    }
    put("kept", format!("{}{}", kept(status), estimated(status)));
}

fn throughput(pace: &Throughput, put: &mut impl FnMut(&str, String)) {
    put("speed", speed(pace));
    put("time", stages(pace));
    let workers = |label, is_one: fn(&WorkerThroughput) -> bool| {
        let shown = pace.workers.iter().filter(move |worker| is_one(worker)).take(SHOWN);
        shown.map(move |worker| (label, worker_pace(worker)))
    };
    let slow = workers("slow", |worker| worker.is_slow);
    slow.chain(workers("silent", |worker| worker.is_silent)).for_each(|(label, text)| put(label, text));
}

/// Word before an estimate.
pub(super) fn about(is_exact: bool) -> &'static str {
    if is_exact { "" } else { "about " }
}

/// A text with escapes instead of characters that act on a terminal: control characters, changes of the
/// direction, and characters without a width.
pub(super) fn plain(text: &str) -> String {
    let acts = |c: char| match c {
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        c => c.is_control(),
    };
    text.chars().fold(String::new(), |mut plain, c| {
        if acts(c) {
            plain.extend(c.escape_unicode())
        } else {
            plain.push(c)
        }
        plain
    })
}

fn states(states: &States, is_exact: bool) -> String {
    let States { planned, committed, quarantined, open, repairing } = states;
    let repairing = if *repairing > 0 { format!(", {repairing} being retried") } else { String::new() };
    let about = about(is_exact);
    format!("{committed} of {about}{planned} committed, {quarantined} quarantined, {open} open{repairing}")
}

fn estimated(status: &Status) -> String {
    let counted = &status.counted;
    let note = || format!("  (estimated from {} of {} commits)", counted.read, counted.commits);
    if counted.is_estimate { note() } else { String::new() }
}

fn kept(status: &Status) -> String {
    let share =
        |share: Option<f64>| share.map_or(String::new(), |share| format!(" ({:.1} %)", 100.0 * share));
    let texts = status.kept.texts.iter();
    let texts = texts.map(|(source, of)| format!("{} {source} texts{}, ", of.kept, share(of.share)));
    format!("{}{} pairs", texts.collect::<String>(), status.kept.pairs)
}

pub(super) fn speed(pace: &Throughput) -> String {
    let end = match pace.seconds_left {
        Some(seconds) => format!(", {} left", duration(seconds)),
        None if pace.stands_still => {
            format!(", but no commit for {}: is a worker running?", duration(pace.seconds_since_commit))
        }
        None => String::new(),
    };
    format!("{:.1} img/s by {} workers{end}", pace.images_per_second, pace.workers.len())
}

fn stages(pace: &Throughput) -> String {
    let stages = &pace.stage_seconds;
    let all = stages.fetch + stages.decode + stages.device + stages.write;
    let share = |name: &str, seconds: f64| format!("{name} {:.0} %", 100.0 * seconds / all.max(1e-9));
    [("fetch", stages.fetch), ("decode", stages.decode), ("device", stages.device), ("write", stages.write)]
        .map(|(name, seconds)| share(name, seconds))
        .join(", ")
}

pub(super) fn worker_pace(worker: &WorkerThroughput) -> String {
    let WorkerThroughput { worker, images_per_second, batch, seconds_since_commit, .. } = worker;
    let since = duration(*seconds_since_commit);
    let worker = plain(worker);
    format!("{worker}: {images_per_second:.1} img/s at batch {batch}, last commit {since} ago")
}

pub(super) fn queue(live: &Live) -> Vec<String> {
    let queue = live.queue.map_or("does not exist".to_owned(), |queue| {
        format!("{} shards, {} of them with no worker yet", queue.messages, queue.pending)
    });
    let no_worker = live.workers.is_empty().then(|| "no worker is there".to_owned());
    let unwatched = live.coordinators.is_empty().then(|| {
        "no coordinator is there to fill the queue and to write the manifest; start `capfilt run`".to_owned()
    });
    std::iter::once(queue).chain(no_worker).chain(unwatched).collect()
}

pub(super) fn live_worker(live: &LiveWorker) -> String {
    let in_hand =
        live.in_hand.iter().map(|held| format!("{} on {}: {} rows", held.shard, held.device, held.rows));
    let in_hand: Vec<String> = in_hand.collect();
    let doing = match in_hand.is_empty() {
        true if live.devices_ready == 0 => "loading models".to_owned(),
        true => "idle".to_owned(),
        false => in_hand.join(", "),
    };
    let wasted =
        if live.wasted_rows > 0 { format!(", {} wasted rows", live.wasted_rows) } else { String::new() };
    format!(
        "{} on {}: {doing}; {} rows{wasted} in {}, heard {:.1} s ago",
        plain(&live.worker),
        live.devices.join(", "),
        live.rows,
        duration(live.seconds_up),
        live.seconds_since_heard
    )
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
