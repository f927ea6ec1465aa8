//! Structs and enums of the settings as their source declares them: names, doc comments, serde's attributes.
//!
//! The reader relies on rustfmt: one field, variant or attribute a line, and a brace in the first column ends
//! an item.

use std::{collections::BTreeMap, fs, path::Path};

/// A struct or an enum.
#[derive(Debug, Default)]
pub struct Item {
    pub members: Vec<Member>,
    /// Whether every field may be missing.
    pub has_default: bool,
}

/// A field of a struct, or a variant of an enum.
#[derive(Debug)]
pub struct Member {
    /// Name in a settings file.
    pub name: String,
    pub docs: String,
    /// Type of a field as in the source; empty for a variant.
    pub kind: String,
    /// Whether the field may be missing, or the variant is the default one.
    pub has_default: bool,
}

/// All public structs and enums below a folder, by name.
pub fn items(folder: &Path) -> BTreeMap<String, Item> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(items(&path));
        } else {
            read(&fs::read_to_string(&path).unwrap(), &mut found);
        }
    }
    found
}

fn read(text: &str, found: &mut BTreeMap<String, Item>) {
    let (mut docs, mut attributes) = (Vec::new(), String::new());
    let mut open: Option<(String, Item, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(doc) = trimmed.strip_prefix("///") {
            docs.push(doc.trim());
            continue;
        }
        if trimmed.starts_with("#[") {
            attributes += trimmed;
            continue;
        }
        let head = ["pub struct ", "pub enum "].iter().find_map(|word| line.strip_prefix(word));
        if let Some(name) = head.and_then(|rest| rest.strip_suffix(" {")) {
            let item = Item { has_default: is_default(&attributes), ..Item::default() };
            open = Some((name.to_owned(), item, value_of(&attributes, "rename_all").unwrap_or_default()));
        } else if line == "}" {
            found.extend(open.take().map(|(name, item, _)| (name, item)));
        } else if let Some((_, item, case)) = &mut open {
            item.members.extend(member(trimmed, &docs.join(" "), &attributes, case));
        }
        docs.clear();
        attributes.clear();
    }
}

/// The field or variant of a line: `pub name: Type,` or `Name,`.
fn member(line: &str, docs: &str, attributes: &str, case: &str) -> Option<Member> {
    let line = line.strip_suffix(',')?;
    let (name, kind) = match line.strip_prefix("pub ") {
        Some(field) => field.split_once(": ")?,
        None => (line, ""),
    };
    let written = if kind.is_empty() { cased(name, case) } else { name.to_owned() };
    let name = value_of(attributes, "rename").unwrap_or(written);
    let has_default = is_default(attributes) || attributes.contains("#[default]");
    Some(Member { name, docs: docs.to_owned(), kind: kind.to_owned(), has_default })
}

/// Whether serde's attributes have `default`.
fn is_default(attributes: &str) -> bool {
    let words = attributes.split("#[serde(").skip(1).flat_map(|rest| rest.split([',', ')']));
    words.map(str::trim).any(|word| word == "default" || word.starts_with("default = "))
}

/// Value of `key = "value"` in an attribute.
fn value_of(attributes: &str, key: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(&format!("{key} = \""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Name of a variant as serde writes it.
fn cased(name: &str, case: &str) -> String {
    let separator = match case {
        "snake_case" => "_",
        "kebab-case" => "-",
        _ => "",
    };
    let mut written = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            written += separator;
        }
        written.extend(letter.to_lowercase());
    }
    written
}
