//! Ready galleries: rows that are worth a look.

use super::{funnel::name_of, pictures};
use crate::{Gallery, Statistics, statistics::Kind};
use maud::{Markup, html};

/// The section.
pub fn section(statistics: &Statistics, gallery: &Gallery) -> Markup {
    html! {
        section id="galleries" {
            h2 { "Galleries" }
            p class="lead" { "Extremes are exact over all rows; other galleries are random samples of seed "
                (statistics.seed) ". Each picture links to its row." }
            @for list in &statistics.galleries {
                div class="gallery" id={ "gallery-" (list.kind.name()) } {
                    h3 { (title(list.kind)) }
                    p class="muted" { (meaning(list.kind)) }
                    (pictures::of_list(gallery, list))
                }
            }
        }
    }
}

fn title(kind: Kind) -> String {
    match kind {
        Kind::BestDropped => "Best dropped".to_owned(),
        Kind::WorstKept => "Worst kept".to_owned(),
        Kind::SyntheticWins => "Synthetic beats web".to_owned(),
        Kind::WebWins => "Web beats synthetic".to_owned(),
        Kind::NothingKept => "All texts fail".to_owned(),
        Kind::Status(status) => format!("Not judged: {}", name_of(status)),
        Kind::Longest => "Longest texts".to_owned(),
        Kind::Shortest => "Shortest texts".to_owned(),
        Kind::Repetitive => "Repetitive texts".to_owned(),
        Kind::Frequent => "Most repeated texts".to_owned(),
    }
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::BestDropped => "Dropped texts with the highest P(match).",
        Kind::WorstKept => "Kept texts with the lowest P(match).",
        Kind::SyntheticWins => "Images whose best caption has a higher P(match) than each text of the input.",
        Kind::WebWins => "Images with a text of the input that has a higher P(match) than each caption.",
        Kind::NothingKept => "Judged images without a kept text; a random sample.",
        Kind::Status(_) => "A random sample of the rows with this status.",
        Kind::Longest => "Judged texts with the most characters.",
        Kind::Shortest => "Judged texts with the fewest characters.",
        Kind::Repetitive => "Judged texts with the largest share of repeated word pairs.",
        Kind::Frequent => "Judged texts that occur most often, each with its first image.",
    }
}
