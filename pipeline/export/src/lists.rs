//! BLIP's lists: JSON arrays of `{"image": path, "caption": text}`, as its pre-training reads them, and the images as files.
//! Paths are relative to the list.

use super::{
    Pair,
    seen::{Name, name_of},
};
use serde_json::{Value, json};

/// One line of a list.
pub(crate) struct Entry(Value);

impl Entry {
    pub fn of(pair: &Pair, image: &Name) -> Self {
        let mut value = json!({ "image": path(pair, image), "caption": pair.text, "source": pair.origin.name() });
        if let Some(itm) = pair.itm {
            value["itm"] = json!(itm);
        }
        Self(value)
    }
}

/// A list, one pair a line.
pub(crate) fn file(entries: &[Entry]) -> Vec<u8> {
    let lines: Vec<String> = entries.iter().map(|entry| entry.0.to_string()).collect();
    format!("[{}]\n", lines.join(",\n ")).into_bytes()
}

/// Where a pair's image goes: by its content, spread over 256 folders.
pub(crate) fn image_path(pair: &Pair) -> String {
    path(pair, &name_of(&pair.image))
}

fn path(pair: &Pair, image: &Name) -> String {
    let name = hex::encode(image);
    format!("images/{}/{name}.{}", &name[..2], pair.extension())
}
