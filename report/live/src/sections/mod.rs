//! Parts of the page that change while the job runs. Every text of the job is escaped by `maud`.

mod controls;
mod progress;
mod shards;
mod texts;
mod workers;

pub(crate) use texts::{row, thumb};

use crate::snapshot::Snapshot;
use maud::{Markup, html};
use std::sync::Arc;

/// A rendered part.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// Name of the event, and id of the element.
    pub id: &'static str,
    /// Number of changes so far.
    pub version: u64,
    pub html: Arc<str>,
}

/// Name of a part, and the function that renders it.
type Renderer = (&'static str, fn(&Snapshot) -> Markup);

/// The parts, in the order of the page.
const SECTIONS: [Renderer; 5] = [
    ("state", controls::state),
    ("progress", progress::progress),
    ("workers", workers::workers),
    ("shards", shards::shards),
    ("texts", texts::newest),
];

/// Renders every section; the version of an unchanged section stays.
pub(crate) fn render(snapshot: &Snapshot, before: &[Section]) -> Vec<Section> {
    let sections = SECTIONS.iter().enumerate().map(|(at, (id, render))| {
        let html = render(snapshot).into_string();
        match before.get(at) {
            Some(same) if *same.html == *html => same.clone(),
            other => Section { id, version: other.map_or(0, |one| one.version + 1), html: html.into() },
        }
    });
    sections.collect()
}

/// A table in a region that scrolls on a narrow screen; the headings are those of the columns.
fn table(name: &str, headings: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// A duration in one unit.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A text with visible control characters and changes of direction, which markup does not escape.
pub(crate) fn visible(text: &str) -> String {
    let is_hidden = |c: char| {
        let directs = matches!(c, '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || directs || matches!(c, '\u{200b}'..='\u{200f}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_visible() {
        assert_eq!(visible("a\u{1b}[2J\u{202e}b\nä"), "a\\u{1b}[2J\\u{202e}b\\nä");
    }
}
