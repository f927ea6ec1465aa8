//! Drift: files and shards whose images are kept less often than those of others.

use super::{
    chart::meter,
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
            p class="lead" { "Share of the judged images that keep a text, and the median P(match) of the texts of the \
                input. The lowest shares come first; a file that differs from the others is worth a look." }
            (table(&format!("Files: {} of {}", drift.files.len(), count(drift.files_total)), &drift.files))
            (table(&format!("Shards: {} of {}", drift.shards.len(), count(drift.shards_total)), &drift.shards))
        }
    }
}

fn table(caption: &str, parts: &[Part]) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { th scope="col" { "file" } th scope="col" class="n" { "rows" }
                    th scope="col" class="n" { "judged" } th scope="col" class="n" { "kept" }
                    th scope="col" { span class="small" { "kept share" } } th scope="col" class="n" { "median P(match)" } } }
                tbody {
                    @for part in parts {
                        tr {
                            th scope="row" { bdi { (visible(&part.file, 120)) }
                                @if let Some(shard) = &part.shard { br; code class="muted" { (shard) } } }
                            td class="n" { (count(part.rows)) }
                            td class="n" { (count(part.images.judged)) }
                            td class="n" { (percent(part.kept_share)) }
                            td class="wide" { (meter(part.kept_share.unwrap_or(0.0), "value")) }
                            td class="n" {
                                @match part.median_itm { Some(median) => (format!("{median:.2}")), None => "–" }
                            }
                        }
                    }
                }
            }
        }
    }
}
