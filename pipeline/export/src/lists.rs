//! BLIP's lists: JSON arrays of `{"image": path, "caption": text}`, as its pre-training reads them, and the images as files.
//! Paths are relative to the list.

use super::{Pair, seen::Name};
use serde_json::json;

/// A list, one pair a line.
pub(crate) fn file(lines: &[String]) -> Vec<u8> {
    format!("[{}]\n", lines.join(",\n ")).into_bytes()
}

/// A pair's line of a list; `image` is where its image is.
pub(crate) fn line(pair: &Pair, image: &str) -> String {
    let mut line = json!({ "image": image, "caption": pair.text, "source": pair.origin.name() });
    if let Some(itm) = pair.itm {
        line["itm"] = json!(itm);
    }
    line.to_string()
}

/// Where a pair's image goes: by its content, spread over 256 folders.
pub(crate) fn image_path(pair: &Pair, image: &Name) -> String {
    let name = hex::encode(image);
    format!("images/{}/{name}.{}", &name[..2], pair.extension())
}
