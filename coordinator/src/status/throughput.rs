//! Throughput of a job, and seconds per stage, computed from the times in the commits.
//!
//! A commit has the duration of its attempt, and the store has the time of the write. Both give the time span
//! of the attempt. A rate is a number of rows divided by the union of these spans, so a night without work
//! does not reduce the rate.

use capfilt_schemas::commit::{Commit, Timings};
use serde::Serialize;
use std::collections::BTreeMap;

/// Commits in this time before the newest commit count as recent.
const RECENT_MS: i64 = 600_000;

/// Least number of recent commits, because shards may take longer than `RECENT_MS`.
const AT_LEAST: usize = 16;

/// A job is stalled if its newest commit is older than this, and older than three of its longest shards.
const STALLED_SECONDS: f64 = 60.0;

/// Least number of worker processes whose median speed is meaningful.
const MEDIAN_OF: usize = 3;

/// Facts of a commit record that the throughput needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommitSummary {
    pub worker: String,
    pub rows: u64,
    pub images: u64,
    pub batch: u32,
    pub timings: Timings,
    pub written_ms: i64,
}

/// Current throughput of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throughput {
    /// Number of newest commits in this computation.
    pub commits: u64,
    /// Images per second.
    pub images_per_second: f64,
    /// Rows per second.
    pub rows_per_second: f64,
    /// Seconds per stage.
    pub stage_seconds: StageSeconds,
    /// Worker processes, slowest first.
    pub workers: Vec<WorkerThroughput>,
    /// Seconds since the last commit.
    pub seconds_since_commit: f64,
    /// Seconds until the job's end at the current speed; `null` if no row is open or the job is stalled.
    pub seconds_left: Option<f64>,
    /// Whether the time since the last commit is much longer than a shard takes.
    pub stands_still: bool,
}

/// Sum over all attempts, in seconds, by stage. Stages overlap in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StageSeconds {
    /// Seconds of reading.
    pub fetch: f64,
    /// Seconds of decoding and resizing.
    pub decode: f64,
    /// Seconds of the models.
    pub device: f64,
    /// Seconds of writing.
    pub write: f64,
}

/// Throughput of one device's worker process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerThroughput {
    /// Name of the worker process.
    pub worker: String,
    /// Committed shards.
    pub shards: u64,
    /// Rows of these shards.
    pub rows: u64,
    /// Images per second.
    pub images_per_second: f64,
    /// Images per model call in its newest commit.
    pub batch: u32,
    /// Seconds since its last commit.
    pub seconds_since_commit: f64,
    /// With at least three worker processes: less than half the median speed.
    pub is_slow: bool,
    /// Whether this process has committed nothing for more than a minute, and for more than three times the
    /// longest recent shard, while other processes commit and rows are open. The process may have ended
    /// regularly.
    pub is_silent: bool,
}

impl CommitSummary {
    pub fn of(commit: &Commit, written_ms: i64) -> Self {
        let Commit { worker, rows, tally, batch, timings, .. } = commit;
        Self {
            worker: worker.clone(),
            rows: *rows,
            images: tally.judged(),
            batch: *batch,
            timings: *timings,
            written_ms,
        }
    }

    fn span_ms(&self) -> (i64, i64) {
        let took = (self.timings.total_seconds * 1000.0).ceil().max(1.0);
        (self.written_ms - took as i64, self.written_ms)
    }
}

/// Throughput of the newest commits (newest first); `None` without a commit.
pub(crate) fn of_commits(newest: &[CommitSummary], now_ms: i64, rows_open: u64) -> Option<Throughput> {
    let last_ms = newest.first()?.written_ms;
    let recent: Vec<&CommitSummary> = newest
        .iter()
        .enumerate()
        .take_while(|(i, brief)| *i < AT_LEAST || brief.written_ms > last_ms - RECENT_MS)
        .map(|(_, brief)| brief)
        .collect();
    let mut timings = Timings::default();
    recent.iter().for_each(|brief| timings.merge(&brief.timings));
    let seconds = seconds_covered(recent.iter().map(|brief| brief.span_ms()));
    let rows_per_second = recent.iter().map(|brief| brief.rows).sum::<u64>() as f64 / seconds;
    let longest = recent.iter().map(|brief| brief.timings.total_seconds).fold(0.0, f64::max);
    let seconds_since_commit = since(last_ms, now_ms);
    let is_long = |seconds: f64| rows_open > 0 && seconds > STALLED_SECONDS.max(3.0 * longest);
    let stands_still = is_long(seconds_since_commit);
    let mut workers = workers(&recent, now_ms);
    mark_slow(&mut workers);
    workers
        .iter_mut()
        .for_each(|worker| worker.is_silent = !stands_still && is_long(worker.seconds_since_commit));
    Some(Throughput {
        commits: recent.len() as u64,
        images_per_second: recent.iter().map(|brief| brief.images).sum::<u64>() as f64 / seconds,
        rows_per_second,
        stage_seconds: StageSeconds {
            fetch: timings.fetch_seconds,
            decode: timings.decode_seconds,
            device: timings.device_seconds,
            write: timings.write_seconds,
        },
        workers,
        seconds_since_commit,
        seconds_left: (rows_open > 0 && !stands_still && rows_per_second > 0.0)
            .then(|| rows_open as f64 / rows_per_second),
        stands_still,
    })
}

fn workers(recent: &[&CommitSummary], now_ms: i64) -> Vec<WorkerThroughput> {
    let mut by_worker = BTreeMap::<&str, Vec<&CommitSummary>>::new();
    recent.iter().for_each(|brief| by_worker.entry(&brief.worker).or_default().push(brief));
    let pace = |(worker, briefs): (&str, Vec<&CommitSummary>)| {
        let seconds = seconds_covered(briefs.iter().map(|brief| brief.span_ms()));
        WorkerThroughput {
            worker: worker.to_owned(),
            shards: briefs.len() as u64,
            rows: briefs.iter().map(|brief| brief.rows).sum(),
            images_per_second: briefs.iter().map(|brief| brief.images).sum::<u64>() as f64 / seconds,
            batch: briefs[0].batch,
            seconds_since_commit: since(briefs[0].written_ms, now_ms),
            is_slow: false,
            is_silent: false,
        }
    };
    let mut workers: Vec<WorkerThroughput> = by_worker.into_iter().map(pace).collect();
    workers.sort_by(|a, b| a.images_per_second.total_cmp(&b.images_per_second));
    workers
}

/// Marks outliers among worker processes, which must be sorted by speed.
fn mark_slow(workers: &mut [WorkerThroughput]) {
    if workers.len() < MEDIAN_OF {
        return;
    }
    let median = workers[workers.len() / 2].images_per_second;
    workers.iter_mut().for_each(|worker| worker.is_slow = worker.images_per_second < median / 2.0);
}

/// Seconds between two times, at least 0: the store's clock may be ahead of this machine's.
fn since(ms: i64, now_ms: i64) -> f64 {
    (now_ms - ms).max(0) as f64 / 1000.0
}

/// Length of the union of time spans, in seconds.
fn seconds_covered(spans: impl Iterator<Item = (i64, i64)>) -> f64 {
    let mut spans: Vec<(i64, i64)> = spans.collect();
    spans.sort_unstable();
    let (mut total, mut covered_to) = (0, i64::MIN);
    for (start, end) in spans {
        total += (end - start.max(covered_to)).max(0);
        covered_to = covered_to.max(end);
    }
    total as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A commit of 100 rows, 90 of them with images, whose attempt took the ten seconds before `at`.
    fn brief(worker: &str, at: i64) -> CommitSummary {
        let timings =
            Timings { total_seconds: 10.0, device_seconds: 8.0, fetch_seconds: 2.0, ..Timings::default() };
        CommitSummary {
            worker: worker.to_owned(),
            rows: 100,
            images: 90,
            batch: 8,
            timings,
            written_ms: at * 1000,
        }
    }

    #[test]
    fn two_workers_side_by_side_are_twice_as_fast_as_each() {
        let newest = [brief("b", 120), brief("a", 120), brief("b", 110), brief("a", 110)];
        let pace = of_commits(&newest, 121_000, 1000).unwrap();
        assert_eq!((pace.images_per_second, pace.rows_per_second), (18.0, 20.0));
        assert_eq!((pace.seconds_left, pace.seconds_since_commit), (Some(50.0), 1.0));
        assert!(pace.workers.iter().all(|worker| worker.images_per_second == 9.0 && worker.shards == 2));
        assert_eq!((pace.stage_seconds.device, pace.stage_seconds.fetch), (32.0, 8.0));
    }

    #[test]
    fn a_pause_slows_nothing_down_and_the_slowest_worker_comes_first() {
        let slow = CommitSummary { images: 30, ..brief("slow", 100_010) };
        let newest = [brief("a", 100_010), slow, brief("a", 10)];
        let pace = of_commits(&newest, 100_010_000, 100).unwrap();
        assert_eq!(pace.rows_per_second, 15.0, "300 rows in twice ten seconds");
        assert_eq!((pace.workers[0].worker.as_str(), pace.workers[0].images_per_second), ("slow", 3.0));
    }

    #[test]
    fn healthy_workers_are_neither_slow_nor_silent_and_outliers_are() {
        // Four processes of equal speed that committed some seconds ago; a shard takes ten seconds.
        let healthy: Vec<CommitSummary> = ["a", "b", "c", "d"].iter().map(|name| brief(name, 1000)).collect();
        let pace_of = |briefs: &[CommitSummary]| of_commits(briefs, 1_015_000, 100).unwrap().workers;
        assert!(pace_of(&healthy).iter().all(|worker| !worker.is_slow && !worker.is_silent));
        let with = |brief: CommitSummary| [&healthy[..], &[brief]].concat();
        let flags = |briefs: &[CommitSummary]| {
            let found = pace_of(briefs).into_iter().find(|worker| worker.worker == "e").unwrap();
            (found.is_slow, found.is_silent)
        };
        assert_eq!(
            flags(&with(CommitSummary { images: 50, ..brief("e", 1000) })),
            (false, false),
            "a little slower"
        );
        assert_eq!(
            flags(&with(CommitSummary { images: 44, ..brief("e", 1000) })),
            (true, false),
            "less than half the median"
        );
        assert_eq!(flags(&with(brief("e", 960))), (false, false), "55 s without a commit");
        assert_eq!(flags(&with(brief("e", 954))), (false, true), "61 s, while other processes commit");
        let two = [brief("a", 1000), CommitSummary { images: 9, ..brief("e", 1000) }];
        assert_eq!(flags(&two), (false, false), "two workers have no meaningful median");
    }

    #[test]
    fn a_job_that_stands_still_has_no_end_in_sight_and_a_done_one_needs_none() {
        let newest = [brief("a", 100)];
        let still = of_commits(&newest, 300_000, 100).unwrap();
        assert!(still.stands_still && still.seconds_left.is_none());
        assert!(still.workers.iter().all(|worker| !worker.is_silent), "no process commits");
        let done = of_commits(&newest, 300_000, 0).unwrap();
        assert!(!done.stands_still && done.seconds_left.is_none());
        assert!(of_commits(&[], 0, 10).is_none());
    }
}
