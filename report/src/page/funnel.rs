//! The funnel: what became of every row, and of every text.

use super::{
    chart::meter,
    words::{count, percent, share, visible},
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
                p { "Not in these counts: " (count(statistics.quarantined_rows)) " rows of quarantined shards, and "
                    (count(statistics.refused_files)) " refused input files." }
            }
        }
    }
}

fn promise(statistics: &Statistics) -> String {
    match statistics.manifest {
        Some(n) => format!(
            "Each row of the input is counted once. The ledgers were recounted, and equal the tally of manifest {n}."
        ),
        None => format!(
            "The job is not finished: {} of {} shards are committed. The ledgers were recounted, and equal the \
             tallies of the commits.",
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
    html! {
        dl class="figures" {
            (figure("rows in", statistics.rows, format!("{} shards", count(statistics.shards))))
            (figure("images judged", tally.judged(), format!("{} of the rows", share(tally.judged(), statistics.rows))))
            (figure("pairs", tally.pairs, format!("{} of the judged images", share(tally.pairs, tally.judged()))))
            (figure("texts kept", kept, format!("{} of the judged texts", share(kept, judged))))
        }
    }
}

fn rows(statistics: &Statistics) -> Markup {
    let (tally, all) = (&statistics.tally, statistics.rows);
    let lost = RowStatus::ALL.iter().filter(|status| **status != RowStatus::Judged);
    let lost = lost.map(|status| (*status, tally.count(*status))).filter(|(_, n)| *n > 0);
    let part = |n: u64| if all == 0 { 0.0 } else { n as f64 / all as f64 };
    let step = |name: &str, n: u64, class: &str, sign: &str| {
        html! {
            tr class=(if sign.is_empty() { "sum" } else { "" }) {
                th scope="row" { (name) } td class="n" { (sign) (count(n)) } td class="n" { (share(n, all)) }
                td class="wide" { (meter(part(n), class)) }
            }
        }
    };
    html! {
        div class="scroll" {
            table id="rows-in" {
                caption { "Rows" }
                thead { tr { th scope="col" { "step" } th scope="col" class="n" { "rows" }
                    th scope="col" class="n" { "of all" } th scope="col" { span class="small" { "share" } } } }
                tbody {
                    (step("rows in", all, "value", ""))
                    @for (status, n) in lost { (step(name_of(status), n, "loss", "− ")) }
                    (step("judged", tally.judged(), "value", ""))
                    (step("no text kept", tally.judged() - tally.pairs, "loss", "− "))
                    (step("pairs", tally.pairs, "value", ""))
                }
            }
        }
    }
}

fn texts(statistics: &Statistics) -> Markup {
    html! {
        div class="scroll" {
            table {
                caption { "Texts of the judged images" }
                thead { tr { th scope="col" { "source" } th scope="col" class="n" { "texts" }
                    th scope="col" class="n" { "judged" } th scope="col" class="n" { "kept" }
                    th scope="col" class="n" { "share" } th scope="col" class="n" { "threshold" } } }
                tbody {
                    @for source in &statistics.sources {
                        tr {
                            th scope="row" { bdi { (visible(&source.source, 60)) } }
                            td class="n" { (count(source.statuses.values().sum())) }
                            td class="n" { (count(source.judged)) }
                            td class="n" { (count(source.kept)) }
                            td class="n" { (percent(share_of(source.kept, source.judged))) }
                            td class="n" { (source.threshold) }
                        }
                        @for (status, n) in source.statuses.iter().filter(|(s, _)| **s != TextStatus::Judged) {
                            tr { th scope="row" class="muted" { "– " (status.as_str().replace('_', " ")) }
                                td class="n" { (count(*n)) } td colspan="4" {} }
                        }
                    }
                }
            }
        }
    }
}

fn share_of(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
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
