//! Worker processes, as the newest commits and failures show them.

use super::{duration, table, visible};
use crate::snapshot::Snapshot;
use capfilt_coordinator::{FailedShard, WorkerThroughput};
use maud::{Markup, html};

/// Worker processes that are shown: the slowest ones.
const SHOWN: usize = 100;

/// Headings of the table.
const COLUMNS: [&str; 8] =
    ["worker process", "state", "shards", "rows", "images/s", "batch", "last commit", "last error"];

pub(super) fn workers(snapshot: &Snapshot) -> Markup {
    let workers = snapshot.status.pace.as_ref().map_or(&[][..], |pace| &pace.workers);
    let last_error = |name: &str| snapshot.grid.failed.iter().find(|failed| failed.last.worker == name);
    let rows = html! {
        @for worker in workers.iter().take(SHOWN) {
            tr {
                th scope="row" { bdi { (visible(&worker.worker)) } }
                td { (state(worker)) }
                td { (worker.shards) }
                td { (worker.rows) }
                td { (format!("{:.1}", worker.images_per_second)) }
                td { (worker.batch) }
                td { (duration(worker.seconds_since_commit)) " ago" }
                td { (last_error(&worker.worker).map_or_else(String::new, error)) }
            }
        }
    };
    html! {
        @if workers.is_empty() {
            p { "No worker process has committed a shard yet." }
        } @else {
            (table("Worker processes", &COLUMNS, &rows))
            p.small { "From the newest commits, slowest first: " (workers.len()) " worker processes." }
        }
    }
}

fn state(worker: &WorkerThroughput) -> &'static str {
    match (worker.is_silent, worker.is_slow) {
        (true, _) => "silent",
        (false, true) => "slow",
        (false, false) => "committing",
    }
}

fn error(failed: &FailedShard) -> String {
    visible(&format!("{}: {}", failed.last.class, failed.last.message))
}
