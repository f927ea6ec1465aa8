//! Numbers for the page's script, as JSON inside the page.

use super::chart::WIDTH;
use crate::{Gallery, Statistics, statistics::Sampled};
use serde_json::{Value, json};

/// The numbers. Texts are not in them: the script takes texts from the page.
pub fn data(statistics: &Statistics, gallery: &Gallery) -> String {
    let row = |one: &Sampled| {
        let card = gallery.find(&one.place)?;
        let text = one.text?;
        let scored = gallery.cards[card].row.texts.get(text as usize)?.scored?;
        Some(json!([card, text, scored.itm]))
    };
    let rows = |list: &[Sampled]| list.iter().filter_map(row).collect::<Vec<Value>>();
    let sources = statistics.sources.iter().map(|source| {
        let bars: Vec<_> = source.samples.iter().map(|bar| rows(bar)).collect();
        json!({
            "judged": source.judged, "threshold": source.threshold, "position": source.position,
            "kept": source.kept_at, "bars": bars, "nearest": rows(&source.nearest),
            "truth": source.truth.is_some(),
        })
    });
    let data = json!({
        "positions": statistics.positions,
        "control": {"judged": statistics.control.judged, "at": statistics.control.at_least},
        "width": WIDTH,
        "sources": sources.collect::<Vec<_>>(),
        "cards": gallery.cards.iter().map(|card| &card.id).collect::<Vec<_>>(),
    });
    // No text of a row is here; `<` is escaped all the same, so that nothing can end the element.
    data.to_string().replace('<', "\\u003c")
}
