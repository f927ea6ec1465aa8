//! The funnel: what became of every row, and of every text.

use super::{
    chart::meter,
    table::{
        Column::{self, Bars, Numbers, Words},
        number, table,
    },
    words::{count, share, visible},
};
use crate::Statistics;
use capfilt_schemas::status::{RowStatus, TextStatus};
use maud::{Markup, html};

/// The section.
pub fn section(statistics: &Statistics) -> Markup {
    html! {
        section id="funnel" {
            h2 { "Every row" }
            p class="lead" { (promise(statistics)) }
            (figures(statistics))
            div class="two" { (rows(statistics)) (texts(statistics)) }
            @if statistics.quarantined_rows > 0 || statistics.refused_files > 0 {
                p { "Not in these counts: " (count(statistics.quarantined_rows)) " rows of quarantined \
                    shards, and " (count(statistics.refused_files)) " refused input files." }
            }
        }
    }
}

fn promise(statistics: &Statistics) -> String {
    match statistics.manifest {
        Some(n) => format!(
            "Each row of the input is counted once. The ledgers were recounted, and equal the tally of \
             manifest {n}."
        ),
        None => format!(
            "The job is not finished: {} of {} shards are committed. The ledgers were recounted, and equal \
             the tallies of the commits.",
            count(statistics.shards),
            count(statistics.planned_shards)
        ),
    }
}

fn figures(statistics: &Statistics) -> Markup {
    let tally = &statistics.tally;
    let kept: u64 = statistics.sources.iter().map(|source| source.kept).sum();
    let judged: u64 = statistics.sources.iter().map(|source| source.judged).sum();
    let figure = |name: &str, n: u64, note: String| {
        html! { div { dt { (name) } dd { (count(n)) small { (note) } } } }
    };
    let of_rows = share(tally.judged(), statistics.rows);
    let of_images = share(tally.pairs, tally.judged());
    html! {
        dl class="figures" {
            (figure("rows in", statistics.rows, format!("{} shards", count(statistics.shards))))
            (figure("images judged", tally.judged(), format!("{of_rows} of the rows")))
            (figure("pairs", tally.pairs, format!("{of_images} of the judged images")))
            (figure("texts kept", kept, format!("{} of the judged texts", share(kept, judged))))
        }
    }
}

fn rows(statistics: &Statistics) -> Markup {
    let (tally, all) = (&statistics.tally, statistics.rows);
    let lost = RowStatus::ALL.iter().filter(|status| **status != RowStatus::Judged);
    let lost = lost.map(|status| (*status, tally.count(*status))).filter(|(_, n)| *n > 0);
    let part = |n: u64| if all == 0 { 0.0 } else { n as f64 / all as f64 };
    let row = |row_class: &str, sign: &str, name: &str, n: u64, class: &str| {
        html! {
            tr class=(row_class) {
                th scope="row" { (name) } (number(format!("{sign}{}", count(n)))) (number(share(n, all)))
                td class="wide" { (meter(part(n), class)) }
            }
        }
    };
    let sum = |name: &str, n: u64| row("sum", "", name, n, "value");
    let loss = |name: &str, n: u64| row("", "− ", name, n, "loss");
    let rows = html! {
        (sum("rows in", all))
        @for (status, n) in lost { (loss(name_of(status), n)) }
        (sum("judged", tally.judged()))
        (loss("no text kept", tally.judged() - tally.pairs))
        (sum("pairs", tally.pairs))
    };
    table("Rows", &[Words("step"), Numbers("rows"), Numbers("of all"), Bars("share")], &rows)
}

fn texts(statistics: &Statistics) -> Markup {
    let rows = html! {
        @for source in &statistics.sources {
            tr {
                th scope="row" { bdi { (visible(&source.source, 60)) } }
                (number(count(source.statuses.values().sum())))
                (number(count(source.judged))) (number(count(source.kept)))
                (number(share(source.kept, source.judged))) (number(source.threshold))
            }
            @for (status, n) in source.statuses.iter().filter(|(s, _)| **s != TextStatus::Judged) {
                tr {
                    th scope="row" class="muted" { "– " (status.as_str().replace('_', " ")) }
                    (number(count(*n))) td colspan="4" {}
                }
            }
        }
    };
    let numbers = ["texts", "judged", "kept", "share", "threshold"].map(Numbers);
    let columns: Vec<Column> = [Words("source")].into_iter().chain(numbers).collect();
    table("Texts of the judged images", &columns, &rows)
}

/// A status for people.
pub fn name_of(status: RowStatus) -> &'static str {
    match status {
        RowStatus::Judged => "judged",
        RowStatus::NotSelected => "not selected by input.where",
        RowStatus::ImageMissing => "without image",
        RowStatus::ImageUnreadable => "image unreadable",
        RowStatus::ImageUnreachable => "link unreachable",
        RowStatus::ImageRefused => "link refused",
        RowStatus::ImageChanged => "linked image changed",
        RowStatus::ImageUndecodable => "image undecodable",
        RowStatus::ImageUnsupported => "format not supported",
        RowStatus::ImageTooLarge => "image too large",
        RowStatus::ImageTooSmall => "image too small",
        RowStatus::Crashed => "ended a worker process",
    }
}
