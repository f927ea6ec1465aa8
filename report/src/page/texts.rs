//! Languages and lengths of texts, and repeated images.

use super::{
    table::{
        Column::{self, Numbers, Words},
        number, table,
    },
    words::{count, share, visible},
};
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
        tr {
            th scope="row" { bdi { (visible(name, 40)) } }
            (number(count(group.judged))) (number(count(group.kept)))
            (number(share(group.kept, group.judged)))
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
    table("Languages", &[Words("language"), Numbers("texts"), Numbers("kept"), Numbers("share")], &rows)
}

fn lengths(source: &SourceStatistics) -> Markup {
    let name = |at: usize| match (LENGTHS[at], LENGTHS.get(at + 1)) {
        (least, None) => format!("{least} and more"),
        (least, Some(next)) if least + 1 == *next => least.to_string(),
        (least, Some(next)) => format!("{least} to {}", next - 1),
    };
    let counted = source.lengths.iter().enumerate().filter(|(_, group)| group.judged > 0);
    let rows = html! { @for (at, counts) in counted { (group(&name(at), counts)) } };
    table("Lengths", &[Words("words"), Numbers("texts"), Numbers("kept"), Numbers("share")], &rows)
}

fn repeated(statistics: &Statistics) -> Markup {
    let row = |name: &str, repeated: &Repeated| {
        let counted = |n: u64| format!("{}{}", if repeated.is_estimate { "about " } else { "" }, count(n));
        html! {
            tr {
                th scope="row" { (name) } (number(count(repeated.rows)))
                (number(counted(repeated.distinct))) (number(counted(repeated.repeated)))
                (number(count(repeated.most_rows)))
            }
        }
    };
    let rows = html! {
        (row("bytes (SHA-256)", &statistics.equal_images))
        (row("perceptual hash", &statistics.equal_hashes))
    };
    let numbers = ["images", "distinct", "on several rows", "most rows of one"].map(Numbers);
    let columns: Vec<Column> = [Words("equal")].into_iter().chain(numbers).collect();
    html! {
        h3 { "Repeated images" }
        (table("Images that are equal", &columns, &rows))
        p class="muted small" { (exactness(statistics)) }
    }
}

fn exactness(statistics: &Statistics) -> String {
    let images = match statistics.equal_images.is_estimate || statistics.equal_hashes.is_estimate {
        true => {
            "With more than about a million distinct images, the numbers are estimates from every second, \
             fourth, eighth … image by its digest."
        }
        false => "The numbers are exact.",
    };
    let texts = match statistics.repeated_texts_missed {
        0 => "The counts of repeated texts are exact.".to_owned(),
        missed => format!("The counts of repeated texts are at most {} too low.", count(missed)),
    };
    format!("{images} {texts}")
}
