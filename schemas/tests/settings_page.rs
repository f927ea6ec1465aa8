//! The page of all settings is written from the settings types: their doc comments, and the values of the
//! settings files in `configs`, which are the defaults. After a change, write the page again with
//! `CAPFILT_UPDATE=1 cargo test --release --workspace --test settings_page`.

#![allow(clippy::unwrap_used)]

#[path = "settings_page/source.rs"]
mod source;

use capfilt_schemas::settings::{
    Settings,
    bootstrap::Bootstrap,
    train::{Task, Training},
    training_data::DataSource,
};
use serde::de::DeserializeOwned;
use source::{Item, Member, items};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};
use toml::{Table, Value};

const HEAD: &str = "\
# Settings

This page is generated from the settings types; a test holds it. `-s section.key=value` overrides a file.
A key without a default may be missing; an unknown key is an error. `capfilt init
--print-all KIND` prints the settings files in `configs`: the same keys with further comments.

A size is a number of bytes, or a text such as `\"50 MiB\"` or `\"1 GB\"`.
";

/// Values of types that have their own form in a settings file.
const FORMS: [(&str, &str); 13] = [
    ("CutName", "text"),
    ("String", "text"),
    ("bool", "`true`, `false`"),
    ("u32", "whole number"),
    ("u64", "whole number"),
    ("f64", "number"),
    ("[f64; 2]", "two numbers"),
    ("Vec<String>", "list of texts"),
    ("TextColumns", "text, or list of texts"),
    ("BTreeMap<String, f64>", "table of numbers"),
    ("ByteSize", "size"),
    ("Auto", "whole number, or `\"auto\"`"),
    ("Memory", "size, or `\"auto\"`"),
];
const PRIVATE: &str = "`true`, `false`, or list of networks";

type Items = BTreeMap<String, Item>;

#[test]
fn the_page_of_the_settings_has_every_key_with_its_meaning_and_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/settings.md");
    let items = items(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings")));
    let now = page(&items);
    if std::env::var_os("CAPFILT_UPDATE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    let first = written.lines().zip(now.lines()).find(|(then, now)| then != now);
    assert!(written == now, "CAPFILT_UPDATE=1 writes the page again; first difference: {first:?}");
}

#[test]
fn the_keys_of_the_page_are_the_keys_that_a_settings_file_may_have() {
    let items = items(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings")));
    let mut keys = 0;
    for (root, accepted) in [
        ("Settings", accepted::<Settings> as fn(&str) -> BTreeSet<String>),
        ("Training", accepted::<Training>),
        ("Bootstrap", accepted::<Bootstrap>),
    ] {
        assert_eq!(names(&items[root]), accepted("'?' = 0"), "tables of {root}");
        for section in &items[root].members {
            let header = header(section);
            let found = names(&items[struct_of(&section.kind)]);
            keys += found.len();
            assert_eq!(found, accepted(&format!("{header}\n'?' = 0")), "{header} of {root}");
        }
    }
    println!("{keys} keys");
    assert!(keys > 150, "{keys} keys");
}

/// Keys that serde lists when it refuses the key `?`.
fn accepted<T: DeserializeOwned>(text: &str) -> BTreeSet<String> {
    let error = toml::from_str::<T>(text).err().unwrap();
    let message = error.message();
    let (_, expected) =
        message.split_once("unknown field `?`, expected").unwrap_or_else(|| panic!("{message}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn names(item: &Item) -> BTreeSet<String> {
    item.members.iter().map(|member| member.name.clone()).collect()
}

/// Name of the struct that a table of a settings file has the fields of.
fn struct_of(kind: &str) -> &str {
    match kind {
        "stores::Stores" => "Store",
        "Vec<DataSource>" => "DataSource",
        other => other,
    }
}

fn header(section: &Member) -> String {
    match (&section.name[..], &section.kind[..]) {
        ("stores", _) => "[stores.\"s3://bucket\"]".to_owned(),
        (name, "Vec<DataSource>") => format!("[[{name}]]"),
        (name, _) => format!("[{name}]"),
    }
}

fn page(items: &Items) -> String {
    let of = |text: &str| text.parse::<Table>().unwrap();
    let mut out = HEAD.to_owned();
    let job = [of(include_str!("../../configs/job.toml"))];
    part(
        &mut out,
        "A job",
        "`capfilt run -c job.toml`; `configs/job.toml`.",
        &items["Settings"],
        items,
        &job,
    );
    let tasks = [Task::Pretrain, Task::Filter, Task::Captioner, Task::Vqa, Task::Nlvr];
    let tasks = tasks.map(|task| with_data(of(task.defaults())));
    let about = "`capfilt train TASK -c FILE`; `configs/train`. Where the tasks differ, the defaults are \
                 those of\n`pretrain`, `filter`, `captioner`, `vqa` and `nlvr`.";
    part(&mut out, "A training run", about, &items["Training"], items, &tasks);
    let run = [of(include_str!("../../configs/loop.toml"))];
    let about = "`capfilt bootstrap -c loop.toml`; `configs/loop.toml`.";
    part(&mut out, "A bootstrap loop", about, &items["Bootstrap"], items, &run);
    out
}

/// The defaults of a source of pairs, which the settings files have in comments.
fn with_data(mut defaults: Table) -> Table {
    let source: DataSource = toml::from_str("").unwrap();
    let mut table = Table::try_from(&source).unwrap();
    // These are not written at their default.
    table.insert("url".into(), source.url.into());
    table.insert("job".into(), source.job.into());
    table.insert("texts".into(), source.texts.name().into());
    table.insert("synthetic_share".into(), source.synthetic_share.into());
    table.insert("question".into(), source.question.into());
    table.insert("answers".into(), source.answers.into());
    table.insert("answer_weight".into(), source.answer_weight.into());
    table.insert("statement".into(), source.statement.into());
    table.insert("second_image".into(), source.second_image.into());
    table.insert("label".into(), source.label.into());
    defaults.insert("data".into(), table.into());
    defaults
}

fn part(out: &mut String, title: &str, about: &str, root: &Item, items: &Items, defaults: &[Table]) {
    write!(out, "\n## {title}\n\n{about}\n").unwrap();
    for section in &root.members {
        write!(out, "\n### `{}`\n\n{}\n", header(section), sentence(&section.docs)).unwrap();
        if struct_of(&section.kind) == "DataSource" && section.name != "data" {
            out.push_str("\nThe keys are those of `[[data]]`.\n");
            continue;
        }
        out.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        let item = &items[struct_of(&section.kind)];
        for member in &item.members {
            let values: Vec<Option<&Value>> =
                defaults.iter().map(|table| table.get(&section.name)?.get(&member.name)).collect();
            let default = default(member, item.has_default, &values);
            let (value, choices) = value(&member.kind, items);
            let meaning = sentence(&member.docs) + &choices;
            writeln!(out, "| `{}` | {value} | {default} | {meaning} |", member.name).unwrap();
        }
    }
}

/// A doc comment as a cell of a table.
fn sentence(docs: &str) -> String {
    docs.replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

/// Default of a key: that of the settings files, if the key may be missing.
fn default(member: &Member, is_optional: bool, values: &[Option<&Value>]) -> String {
    let is_optional = is_optional || member.has_default;
    let written = |value: &Value| format!("`{value}`").replace('|', "\\|");
    if member.kind.starts_with("Option<") || member.kind.starts_with("BTreeMap<") {
        return String::new();
    }
    match values {
        [None, ..] => panic!("no file in configs has the default of `{}`", member.name),
        // Where a key is required, the value in the file is an example.
        [Some(_)] if !is_optional => "required".to_owned(),
        [Some(value)] => written(value),
        [first, rest @ ..] if rest.iter().all(|value| value == first) => written(first.unwrap()),
        several => several.iter().map(|value| written(value.unwrap())).collect::<Vec<_>>().join(", "),
    }
}

/// Form of a value, and the meanings of the variants of an enum.
fn value(kind: &str, items: &Items) -> (String, String) {
    let kind = kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(kind);
    if let Some((_, form)) = FORMS.iter().find(|(name, _)| *name == kind) {
        return ((*form).to_owned(), String::new());
    }
    if kind == "Private" {
        return (PRIVATE.to_owned(), String::new());
    }
    let (name, of) = match kind.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')) {
        Some(name) => (name, "list of "),
        None => (kind, ""),
    };
    let variants = &items.get(name).unwrap_or_else(|| panic!("no form of the type {kind}")).members;
    let names: Vec<String> = variants.iter().map(|variant| format!("`\"{}\"`", variant.name)).collect();
    let meanings =
        variants.iter().map(|variant| format!("<br>`{}`: {}", variant.name, sentence(&variant.docs)));
    (format!("{of}{}", names.join(", ")), meanings.collect())
}
