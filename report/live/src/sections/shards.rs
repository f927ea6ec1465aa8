//! The grid of shards, and the shards with failed attempts in words.

use super::{table, visible};
use crate::snapshot::Snapshot;
use capfilt_coordinator::{FailedShard, ShardCell, ShardGrid};
use maud::{Markup, html};

/// Classes of cells, and what they mean.
const MEANINGS: [(&str, &str); 6] = [
    ("done", "committed"),
    ("part", "partly committed"),
    ("open", "open"),
    ("failing", "open, with a failed attempt"),
    ("repairing", "executed again"),
    ("quarantined", "quarantined"),
];

pub(super) fn shards(snapshot: &Snapshot) -> Markup {
    let ShardGrid { cells, failed, failed_total } = &snapshot.grid;
    let columns = ["shard", "rows", "state", "failed attempts", "last error"];
    html! {
        div.grid role="img" aria-label="state of every shard, in the order of the plan" {
            @for cell in cells { i class=(class(cell)) title=(title(cell)) {} }
        }
        p.small.legend {
            @for (class, meaning) in MEANINGS { span { i class=(class) {} (meaning) } }
        }
        @if !failed.is_empty() {
            (table("Shards with failed attempts", &columns, &html! { @for one in failed { (line(one)) } }))
            @if *failed_total > failed.len() as u64 {
                p.small { "And " (failed_total - failed.len() as u64) " more shards with failed attempts." }
            }
        }
    }
}

fn line(one: &FailedShard) -> Markup {
    let FailedShard { shard, state, attempts, last } = one;
    let end = shard.first_row.saturating_add(shard.rows);
    html! {
        tr {
            td { code { (shard.id.to_string()) } }
            td { (visible(&shard.file.path)) " " (shard.first_row) "–" (end) }
            td { (state) }
            td { (attempts) }
            td { (last.class.as_str()) ": " (visible(&last.message)) " (" (visible(&last.worker)) ")" }
        }
    }
}

fn class(cell: &ShardCell) -> &'static str {
    match cell {
        ShardCell { quarantined: 1.., .. } => "quarantined",
        ShardCell { failing: 1.., .. } => "failing",
        ShardCell { repairing: 1.., .. } => "repairing",
        ShardCell { shards, committed, .. } if committed == shards => "done",
        ShardCell { committed: 1.., .. } => "part",
        _ => "open",
    }
}

fn title(cell: &ShardCell) -> String {
    let ShardCell { first, shards, committed, quarantined, repairing, failing } = cell;
    let mut title = match shards {
        1 => format!("shard {first}: {}", class(cell)),
        _ => format!("shards {first} to {}: {committed} committed", first + shards - 1),
    };
    for (count, word) in [(quarantined, "quarantined"), (repairing, "repairing"), (failing, "with failures")]
    {
        if *shards > 1 && *count > 0 {
            title += &format!(", {count} {word}");
        }
    }
    title
}
