//! Counts, kept texts, speed, remaining time and bottleneck.

use super::{duration, table, visible};
use crate::snapshot::Snapshot;
use capfilt_coordinator::bottleneck;
use capfilt_coordinator::{States, Status};
use maud::{Markup, html};

pub(super) fn progress(snapshot: &Snapshot) -> Markup {
    let status = &snapshot.status;
    let about = if status.rows_exact { "" } else { "about " };
    let percent = percent(status.rows.committed, status.rows.planned);
    let rows = html! {
        (states("rows", &status.rows, about))
        (states("shards", &status.shards, ""))
    };
    let columns = ["", "planned", "committed", "open", "quarantined", "repairing"];
    html! {
        p {
            progress max="100" value=(format!("{percent:.1}")) aria-label="committed rows" {}
            " " (format!("{percent:.1} %")) " of the rows"
        }
        (table("Rows and shards by state", &columns, &rows))
        @if let Some(pace) = &status.pace {
            p {
                (format!("{:.1} rows/s, {:.1} images/s", pace.rows_per_second, pace.images_per_second))
                @if let (Some(left), None) = (pace.seconds_left, snapshot.hold()) {
                    ", about " strong { (duration(left)) } " left"
                }
                ", last commit " (duration(pace.seconds_since_commit)) " ago."
            }
            p { (bottleneck(pace)) }
        }
        (kept(status))
    }
}

fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { 100.0 * part as f64 / all as f64 }
}

fn states(name: &str, states: &States, about: &str) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td { (about) (states.planned) }
            td { (states.committed) }
            td { (states.open) }
            td { (states.quarantined) }
            td { (states.repairing) }
        }
    }
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share))
}

fn kept(status: &Status) -> Markup {
    let Status { kept, counted, .. } = status;
    let rows = html! {
        @for (source, texts) in &kept.texts {
            tr {
                th scope="row" { bdi { (visible(source)) } }
                td { (texts.judged) }
                td { (texts.kept) }
                td { (share(texts.share)) }
            }
        }
    };
    html! {
        @if !kept.texts.is_empty() {
            (table("Kept texts by source", &["source", "judged texts", "kept", "share"], &rows))
            p.small {
                (kept.pairs) " images keep a text."
                @if counted.is_estimate {
                    " Estimated from " (counted.read) " of " (counted.commits) " commits."
                }
            }
        }
        @if status.rows_by_status.len() > 1 {
            p.small {
                "Rows by status: "
                @for (at, (status, rows)) in status.rows_by_status.iter().enumerate() {
                    @if at > 0 { ", " } (rows) " " (status)
                }
                "."
            }
        }
        @for file in status.refused.iter().take(10) {
            p.bad { "Refused " (visible(&file.path)) ": " (visible(&file.reason)) }
        }
    }
}
