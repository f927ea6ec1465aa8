//! Pictures with one line about them, which link to the whole row.

use super::words::visible;
use crate::{
    Gallery,
    gallery::Card,
    statistics::{Kind, List, Sampled},
};
use maud::{Markup, html};

/// Characters of a text below a picture.
const CHARACTERS: usize = 160;

/// The thumbnail of a row, or the reason why there is none.
pub fn thumb(card: &Card, number: usize) -> Markup {
    html! {
        @match &card.picture {
            Ok(_) => {
                svg class="thumb" viewBox="0 0 160 160" role="img"
                    aria-label={ "Picture of row " (card.row.row) } {
                    use href={ "#p" (number) } width="160" height="160" {}
                }
            },
            Err(why) => div class="thumb none" { (why.as_str()) },
        }
    }
}

/// A picture with one of its texts and P(match).
pub fn of_text(gallery: &Gallery, row: &Sampled) -> Markup {
    picture(gallery, row, None)
}

/// The pictures of a gallery.
pub fn of_list(gallery: &Gallery, list: &List) -> Markup {
    html! {
        ul class="pictures" { @for row in &list.rows { (picture(gallery, row, Some(list.kind))) } }
    }
}

fn picture(gallery: &Gallery, row: &Sampled, kind: Option<Kind>) -> Markup {
    let Some((number, card)) = gallery.find(&row.place).map(|at| (at, &gallery.cards[at])) else {
        return html! {};
    };
    let text = row.text.and_then(|at| card.row.texts.get(at as usize)).or_else(|| card.row.texts.first());
    html! {
        li class="picture" {
            a href={ "#" (card.id) } {
                (thumb(card, number))
                bdi class="text" dir="auto" {
                    @match text.and_then(|text| text.text.as_deref()) {
                        Some(text) => (visible(text, CHARACTERS)),
                        None => "without text",
                    }
                }
            }
            div class="about" {
                @let line = kind.and_then(|kind| about(kind, row));
                @if let Some((text, scored)) = text.and_then(|text| Some((text, text.scored?))) {
                    @if kind.is_some() {
                        bdi { (visible(&text.source, 24)) }
                        @if let Some(line) = line { ", " (line) }
                        br;
                    }
                    "P(match) " (format!("{:.4}", scored.itm))
                    @if scored.kept { " " span class="kept-mark" { "kept" } } @else { " dropped" }
                } @else if let Some(detail) = &card.row.detail {
                    bdi { (visible(detail, 80)) }
                } @else { (card.row.status.as_str().replace('_', " ")) }
            }
        }
    }
}

/// The rank of a row in its gallery, for people.
fn about(kind: Kind, row: &Sampled) -> Option<String> {
    Some(match kind {
        Kind::SyntheticWins | Kind::WebWins => format!("{:.3} higher", row.score),
        Kind::Longest | Kind::Shortest => format!("{} characters", row.score),
        Kind::Repetitive => format!("repetition {:.2}", row.score),
        Kind::Frequent => format!("{} times", row.score),
        _ => return None,
    })
}
