//! Numbers for the page's script, as JSON inside the page.

use super::{axis::Axis, chart::WIDTH};
use crate::{
    Gallery, Statistics,
    statistics::{Sampled, Scale},
};
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
    let panel = |axis: &Axis| {
        let with_samples = axis.scale == Scale::Match;
        let samples = axis.source.samples.iter().filter(|_| with_samples);
        let bars: Vec<_> = samples.map(|bar| rows(bar)).collect();
        let nearest = if with_samples { rows(&axis.source.nearest) } else { Vec::new() };
        json!({
            "score": axis.score(), "top": axis.scale.top(), "positions": axis.positions,
            "texts": axis.scored, "threshold": axis.threshold, "position": axis.position,
            "kept": axis.kept_at, "control": axis.control_at, "controls": axis.controls,
            "bars": bars, "nearest": nearest, "truth": axis.truth.is_some(),
        })
    };
    let data = json!({
        "width": WIDTH,
        "sources": Axis::all(statistics).iter().map(panel).collect::<Vec<_>>(),
        "cards": gallery.cards.iter().map(|card| &card.id).collect::<Vec<_>>(),
    });
    // No text of a row is here; `<` is escaped all the same, so that nothing can end the element.
    data.to_string().replace('<', "\\u003c")
}
