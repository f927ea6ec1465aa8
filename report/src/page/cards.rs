//! The sampled rows, each with everything that the job recorded about it.

use super::{
    funnel::name_of,
    pictures::thumb,
    words::{quoted, visible},
};
use crate::{Gallery, Statistics, gallery::Card, statistics::CommittedShard};
use capfilt_schemas::texts::{LedgerText, Scored};
use maud::{Markup, html};

/// Texts of a card; a row may have hundreds.
const TEXTS: usize = 24;

/// Characters of the texts of a card, and those of a card of a page that is otherwise too large.
pub const CHARACTERS: [usize; 2] = [1_600, 0];

/// Least number of characters of a text when those of the card are used up.
const LEAST_CHARACTERS: usize = 60;

/// The section.
pub fn section(statistics: &Statistics, gallery: &Gallery, characters: usize) -> Markup {
    html! {
        section id="rows" {
            h2 { "Rows" }
            p class="lead" { "Every sampled row with its texts, scores and verdicts. The address of a row on \
                this page, such as " code { "#row-…" } ", is the same in every report of the job." }
            details {
                summary { "Show all " (gallery.cards.len()) " sampled rows" }
                @for (number, card) in gallery.cards.iter().enumerate() {
                    (article(statistics, card, number, characters))
                }
            }
        }
    }
}

fn article(statistics: &Statistics, card: &Card, number: usize, characters: usize) -> Markup {
    let (row, shard) = (&card.row, &statistics.committed[card.place.shard as usize]);
    let address = format!("{}#{}", row.file, row.row);
    html! {
        article class="card" id=(card.id) aria-label={ "Row " (number + 1) } {
            (thumb(card, number))
            div {
                p class="title" { bdi { (visible(&address, 300)) } " · " (name_of(row.status)) }
                @if !row.texts.is_empty() { (texts(statistics, &row.texts, characters)) }
                dl {
                    @if let Some(key) = &row.key { (fact("key", &visible(key, 300))) }
                    @if let Some(member) = &row.member { (fact("member", &visible(member, 300))) }
                    @if let (Some(width), Some(height)) = (row.width, row.height) {
                        (fact("size", &format!("{width} × {height} pixels")))
                    }
                    @if let Some(detail) = &row.detail { (fact("detail", &visible(detail, 300))) }
                    @if let Some(itm) = row.control_itm {
                        @let clip = row.control_clip.map(|clip| format!(", CLIP score {clip:.2}"));
                        @let scores = format!("P(match) {itm:.4}{}", clip.unwrap_or_default());
                        (fact("negative control", &format!("{scores} with a text of another row")))
                    }
                    (fact("shard", &of_shard(shard)))
                    (fact("worker", &visible(&shard.worker, 100)))
                    (fact("models", &models(statistics)))
                    (fact("explain", &visible(&explain(statistics, &address), 600)))
                }
            }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { dt { (name) } dd { bdi { (value) } } }
}

fn of_shard(shard: &CommittedShard) -> String {
    let CommittedShard { shard, n, attempt, .. } = shard;
    format!("{}, commit {n}, attempt {attempt}", shard.id)
}

fn explain(statistics: &Statistics, address: &str) -> String {
    format!("capfilt explain --job {} --row {}", quoted(&statistics.url), quoted(address))
}

/// Beginnings of the digests of the job's checkpoints.
pub fn models(statistics: &Statistics) -> String {
    let job = &statistics.job;
    let all = [("filter", &job.filter), ("captioner", &job.captioner), ("clip", &job.clip)];
    let shown = all.iter().filter(|(_, model)| !model.is_none());
    let shown = shown.map(|(role, model)| format!("{role} {}", &model.digest()[..12]));
    shown.collect::<Vec<_>>().join(", ")
}

fn texts(statistics: &Statistics, texts: &[LedgerText], characters: usize) -> Markup {
    let mut left = characters;
    let mut cut = |text: &str| {
        let most = left.max(LEAST_CHARACTERS);
        left = left.saturating_sub(text.chars().count());
        visible(text, most)
    };
    let has_clip = statistics.job.settings.models.clip.is_some();
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Texts of the row" {
            table {
                thead { tr {
                    th scope="col" { "source" } th scope="col" class="n" { "P(match)" }
                    th scope="col" class="n" { "cosine" }
                    @if has_clip { th scope="col" class="n" { "CLIP score" } }
                    th scope="col" class="n" { "threshold" }
                    th scope="col" { "verdict" }
                } }
                @for (at, text) in texts.iter().take(TEXTS).enumerate() {
                    tbody data-text=(at) {
                        tr {
                            th scope="row" { bdi { (visible(&text.source, 60)) } }
                            (scores(statistics, text))
                        }
                        tr { td class="said" colspan=(5 + usize::from(has_clip)) {
                            bdi class="text" dir="auto" { (cut(text.text.as_deref().unwrap_or("–"))) }
                        } }
                    }
                }
            }
        }
        @if texts.len() > TEXTS { p class="muted small" { "and " (texts.len() - TEXTS) " more texts" } }
    }
}

fn scores(statistics: &Statistics, text: &LedgerText) -> Markup {
    let settings = &statistics.job.settings;
    let (threshold, has_clip) = (settings.filter.threshold(&text.source), settings.models.clip.is_some());
    let clip = |scored: Scored| scored.clip.map_or_else(String::new, |clip| format!("{clip:.2}"));
    html! {
        @match text.scored {
            None => {
                td {} td {} @if has_clip { td {} } td class="n" { (threshold) }
                td { (text.status.as_str().replace('_', " ")) }
            },
            Some(scored) => {
                td class="n" { (format!("{:.4}", scored.itm)) }
                td class="n" { (format!("{:+.3}", scored.itc)) }
                @if has_clip { td class="n" { (clip(scored)) } }
                td class="n" { (threshold) }
                td {
                    @if scored.kept { span class="kept-mark" { "kept" } } @else { "dropped" }
                    @if !scored.kept && f64::from(scored.itm) >= threshold { (other_rule(statistics, text)) }
                }
            }
        }
    }
}

/// Why a text that reaches the threshold of P(match) is dropped.
fn other_rule(statistics: &Statistics, text: &LedgerText) -> String {
    let least = statistics.job.settings.filter.clip_threshold(&text.source);
    let clip = text.scored.and_then(|scored| scored.clip);
    match least.filter(|least| clip.is_none_or(|clip| f64::from(clip) < *least)) {
        Some(least) => format!(", CLIP threshold {least}"),
        None => ", by another rule".to_owned(),
    }
}
