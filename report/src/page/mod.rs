//! The page: one HTML file with everything in it.
//!
//! Every value passes the template's escaping, and the policy in the head forbids every request, every script
//! but the page's, and every style but the page's.

mod axis;
mod cards;
mod chart;
mod drift;
mod funnel;
mod galleries;
mod pictures;
mod script;
mod table;
mod texts;
mod threshold;
mod words;
mod work;

use crate::{Gallery, Statistics};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};
use words::visible;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Bytes of a page from which on texts are cut.
const PAGE_BYTES: usize = 8_000_000;

/// Sections of the page, by id.
const SECTIONS: [(&str, &str); 7] = [
    ("funnel", "Every row"),
    ("thresholds", "Thresholds"),
    ("galleries", "Galleries"),
    ("rows", "Rows"),
    ("drift", "Files and shards"),
    ("texts", "Texts"),
    ("work", "Work"),
];

/// Content of a report.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The numbers.
    pub statistics: &'a Statistics,
    /// The sampled rows.
    pub gallery: &'a Gallery,
}

impl Page<'_> {
    /// The page as HTML. With long texts, it has only their beginnings, so that it has at most 8 MB: the
    /// thumbnails have a separate bound, and the rest has a few hundred kilobytes.
    pub fn render(&self) -> String {
        let page = self.with_texts(cards::CHARACTERS[0]);
        if page.len() <= PAGE_BYTES { page } else { self.with_texts(cards::CHARACTERS[1]) }
    }

    fn with_texts(&self, characters: usize) -> String {
        let Self { statistics, gallery } = *self;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                (self.head())
                body {
                    (store(gallery))
                    (header(statistics))
                    nav aria-label="Sections" {
                        ul { @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (name) } } } }
                    }
                    main {
                        (funnel::section(statistics))
                        (threshold::section(statistics, gallery))
                        (galleries::section(statistics, gallery))
                        (cards::section(statistics, gallery, characters))
                        (drift::section(statistics))
                        (texts::section(statistics))
                        (work::section(statistics))
                    }
                    footer { "Made by " code { "capfilt report" } " with seed " (statistics.seed)
                        ". The page fetches nothing." }
                    dialog aria-label="Row" {
                        div class="bar-of-dialog" { button type="button" { "Close" } }
                        div class="content" {}
                    }
                    script type="application/json" id="data" {
                        (PreEscaped(script::data(statistics, gallery)))
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn head(&self) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { "Report of " (visible(&self.statistics.url, 200)) }
                style { (PreEscaped(STYLE)) }
            }
        }
    }
}

/// The content security policy: nothing but pictures in the page, and its script and style by digest.
fn policy() -> String {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

/// The thumbnails, each once; pictures of the page refer to them.
fn store(gallery: &Gallery) -> Markup {
    html! {
        svg class="store" aria-hidden="true" {
            @for (number, card) in gallery.cards.iter().enumerate() {
                @if let Ok(thumbnail) = &card.picture {
                    @let size = (thumbnail.width, thumbnail.height);
                    symbol id={ "p" (number) } viewBox={ "0 0 " (size.0) " " (size.1) } {
                        image width=(size.0) height=(size.1)
                            href={ "data:image/jpeg;base64," (STANDARD.encode(&thumbnail.jpeg)) } {}
                    }
                }
            }
        }
    }
}

fn header(statistics: &Statistics) -> Markup {
    html! {
        header {
            h1 { "What the job kept, and why" }
            p class="muted" {
                bdi { (visible(&statistics.url, 300)) }
                @match (statistics.manifest, &statistics.manifest_digest) {
                    (Some(n), Some(digest)) => {
                        " · manifest " (n) " · data " code { (digest.get(..12).unwrap_or(digest)) }
                    },
                    _ => " · not finished",
                }
            }
        }
    }
}
