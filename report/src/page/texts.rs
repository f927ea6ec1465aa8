//! Languages and lengths of texts, and repeated images.

use super::words::{count, share, visible};
use crate::{
    Statistics,
    statistics::{Group, LENGTHS, Repeated, SourceStatistics},
};
use maud::{Markup, html};

/// Languages of a source that are listed.
const LANGUAGES: usize = 12;

/// The section.
pub fn section(statistics: &Statistics) -> Markup {
    html! {
        section id="texts" {
            h2 { "Texts and repeated images" }
            p class="lead" { "Judged texts by language and by number of words." }
            @for source in &statistics.sources {
                h3 { bdi { (visible(&source.source, 60)) } }
                div class="two" { (languages(source)) (lengths(source)) }
            }
            (repeated(statistics))
        }
    }
}

fn group(name: &str, group: &Group) -> Markup {
    html! {
        tr { th scope="row" { bdi { (visible(name, 40)) } } td class="n" { (count(group.judged)) }
            td class="n" { (count(group.kept)) } td class="n" { (share(group.kept, group.judged)) } }
    }
}

fn groups(caption: &str, first: &str, rows: &Markup) -> Markup {
    html! {
        div class="scroll" {
            table {
                caption { (caption) }
                thead { tr { th scope="col" { (first) } th scope="col" class="n" { "texts" }
                    th scope="col" class="n" { "kept" } th scope="col" class="n" { "share" } } }
                tbody { (rows) }
            }
        }
    }
}

fn languages(source: &SourceStatistics) -> Markup {
    let mut languages: Vec<(&String, &Group)> = source.languages.iter().collect();
    languages.sort_by_key(|(name, group)| (std::cmp::Reverse(group.judged), *name));
    let mut rest = Group::default();
    languages.iter().skip(LANGUAGES).for_each(|(_, group)| {
        rest.judged += group.judged;
        rest.kept += group.kept;
    });
    let rows = html! {
        @for (name, counts) in languages.iter().take(LANGUAGES) { (group(name, counts)) }
        @if rest.judged > 0 { (group("other languages", &rest)) }
    };
    groups("Languages", "language", &rows)
}

fn lengths(source: &SourceStatistics) -> Markup {
    let name = |at: usize| match (LENGTHS[at], LENGTHS.get(at + 1)) {
        (least, None) => format!("{least} and more"),
        (least, Some(next)) if least + 1 == *next => least.to_string(),
        (least, Some(next)) => format!("{least} to {}", next - 1),
    };
    let counted = source.lengths.iter().enumerate().filter(|(_, group)| group.judged > 0);
    groups("Lengths", "words", &html! { @for (at, counts) in counted { (group(&name(at), counts)) } })
}

fn repeated(statistics: &Statistics) -> Markup {
    let row = |name: &str, repeated: &Repeated| {
        let about = if repeated.is_estimate { "about " } else { "" };
        html! {
            tr { th scope="row" { (name) } td class="n" { (count(repeated.rows)) }
                td class="n" { (about) (count(repeated.distinct)) }
                td class="n" { (about) (count(repeated.repeated)) } td class="n" { (count(repeated.most_rows)) } }
        }
    };
    let is_estimate = statistics.equal_images.is_estimate || statistics.equal_hashes.is_estimate;
    html! {
        h3 { "Repeated images" }
        div class="scroll" tabindex="0" role="region" aria-label="Repeated images" {
            table {
                thead { tr { th scope="col" { "equal" } th scope="col" class="n" { "images" }
                    th scope="col" class="n" { "distinct" } th scope="col" class="n" { "on several rows" }
                    th scope="col" class="n" { "most rows of one" } } }
                tbody { (row("bytes (SHA-256)", &statistics.equal_images))
                    (row("perceptual hash", &statistics.equal_hashes)) }
            }
        }
        p class="muted small" {
            @if is_estimate { "With more than about a million distinct images, the numbers are estimates from every \
                second, fourth, eighth … image by its digest." } @else { "The numbers are exact." }
            " " @if statistics.repeated_texts_missed == 0 { "The counts of repeated texts are exact." } @else {
                "The counts of repeated texts are at most " (count(statistics.repeated_texts_missed)) " too low." }
        }
    }
}
