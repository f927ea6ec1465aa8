//! Drift: files and shards whose images are kept less often than those of the rest.

use super::{
    chart::meter,
    table::{
        Column::{Bars, Numbers, Words},
        number, table,
    },
    words::{count, percent, visible},
};
use crate::{Statistics, statistics::Part};
use maud::{Markup, html};

/// The section.
pub fn section(statistics: &Statistics) -> Markup {
    let drift = &statistics.drift;
    html! {
        section id="drift" {
            h2 { "Files and shards" }
            p class="lead" { "Share of the judged images that keep a text, and the median P(match) of the \
                texts of the input. The lowest shares come first: a file or shard that differs from the rest \
                may be of another kind, or damaged." }
            (parts("Files", drift.files_total, &drift.files))
            (parts("Shards", drift.shards_total, &drift.shards))
        }
    }
}

fn parts(name: &str, all: u64, parts: &[Part]) -> Markup {
    let caption = format!("{name}: {} of {}", parts.len(), count(all));
    let rows = html! {
        @for part in parts {
            tr {
                th scope="row" {
                    bdi { (visible(&part.file, 120)) }
                    @if let Some(shard) = &part.shard { br; code class="muted" { (shard) } }
                }
                (number(count(part.rows))) (number(count(part.images.judged)))
                (number(percent(part.kept_share)))
                td class="wide" { (meter(part.kept_share.unwrap_or(0.0), "value")) }
                (number(part.median_itm.map_or_else(|| "–".to_owned(), |median| format!("{median:.2}"))))
            }
        }
    };
    let columns = [
        Words("file"),
        Numbers("rows"),
        Numbers("judged"),
        Numbers("kept"),
        Bars("kept share"),
        Numbers("median P(match)"),
    ];
    table(&caption, &columns, &rows)
}
