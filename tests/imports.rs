//! Imports between our crates go one way, libtorch stays where it belongs, and no source file is left out.

use crate::{dependencies::metadata, support::sources::tracked_rust_files};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Crates of this workspace that each crate may import.
const ARROWS: [(&str, &[&str]); 21] = [
    ("capfilt-schemas", &[]),
    ("capfilt-store", &["capfilt-schemas"]),
    ("capfilt-store-testing", &["capfilt-store"]),
    ("capfilt-links", &["capfilt-schemas"]),
    ("capfilt-pipeline", &["capfilt-schemas", "capfilt-store", "capfilt-links"]),
    ("capfilt-kernels", &[]),
    ("capfilt-blip", &["capfilt-schemas", "capfilt-pipeline", "capfilt-kernels"]),
    ("capfilt-train", &["capfilt-schemas", "capfilt-store", "capfilt-pipeline", "capfilt-blip"]),
    ("capfilt-demo-data", &["capfilt-schemas"]),
    ("capfilt-export", &["capfilt-schemas", "capfilt-store", "capfilt-pipeline"]),
    ("capfilt-endpoint", &["capfilt-schemas", "capfilt-pipeline"]),
    ("capfilt-evaluate", &["capfilt-schemas", "capfilt-store", "capfilt-pipeline", "capfilt-blip"]),
    ("capfilt-workers", &["capfilt-schemas", "capfilt-store", "capfilt-pipeline"]),
    ("capfilt-coordinator", &["capfilt-schemas", "capfilt-store"]),
    ("capfilt-report", &["capfilt-schemas", "capfilt-store", "capfilt-pipeline", "capfilt-coordinator"]),
    ("capfilt-console", &["capfilt-store", "capfilt-spans"]),
    ("capfilt-spans", &[]),
    (
        "capfilt-runtime",
        &[
            "capfilt-schemas",
            "capfilt-store",
            "capfilt-pipeline",
            "capfilt-blip",
            "capfilt-endpoint",
            "capfilt-train",
            "capfilt-coordinator",
            "capfilt-workers",
            "capfilt-console",
        ],
    ),
    (
        "capfilt-bootstrap",
        &["capfilt-schemas", "capfilt-store", "capfilt-coordinator", "capfilt-console", "capfilt-runtime"],
    ),
    ("capfilt-measure", &["capfilt-schemas", "capfilt-pipeline", "capfilt-blip"]),
    (
        "capfilt-serve",
        &["capfilt-schemas", "capfilt-store", "capfilt-pipeline", "capfilt-coordinator", "capfilt-report"],
    ),
];

/// Packages that may name libtorch: the model and its kernels, its training, evaluation and measurement, the
/// crates that load models or start training, and the front door, which links the binary.
const LIBTORCH: [&str; 8] = [
    "capfilt",
    "capfilt-kernels",
    "capfilt-blip",
    "capfilt-train",
    "capfilt-evaluate",
    "capfilt-runtime",
    "capfilt-bootstrap",
    "capfilt-measure",
];

#[test]
fn crates_import_only_what_the_design_allows() {
    let dependencies = dependencies();
    for (name, allowed) in ARROWS {
        let ours: BTreeSet<&str> =
            dependencies[name].iter().map(String::as_str).filter(|d| d.starts_with("capfilt")).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(ours.is_subset(&allowed), "{name} imports {ours:?}, allowed are {allowed:?}");
    }
    let ours = dependencies.keys().filter(|name| name.starts_with("capfilt-"));
    assert_eq!(ours.count(), ARROWS.len(), "a new crate needs its arrows here");
}

#[test]
fn libtorch_is_linked_by_the_model_alone() {
    for (name, dependencies) in dependencies() {
        let names_torch =
            dependencies.iter().any(|dependency| dependency == "tch" || dependency == "torch-sys");
        assert!(!names_torch || LIBTORCH.contains(&name.as_str()), "{name} names libtorch");
    }
}

/// A file that no target compiles still looks like a test that passes.
#[test]
fn every_tracked_source_file_is_compiled_by_a_target() {
    let mut reached = BTreeSet::new();
    for package in metadata(&["--no-deps"])["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            reach(Path::new(target["src_path"].as_str().unwrap()), true, &mut reached);
        }
    }
    let tracked = tracked_rust_files();
    assert!(tracked.len() > 300, "{} files", tracked.len());
    let left_out: Vec<&PathBuf> = tracked.iter().filter(|path| !reached.contains(*path)).collect();
    assert!(left_out.is_empty(), "no target compiles {left_out:?}");
}

/// Adds a source file and the files of the modules that it declares. A root or a `mod.rs` has them beside it,
/// any other file in a folder of its name.
fn reach(file: &Path, is_root: bool, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let beside = file.parent().unwrap();
    let own = if is_root || file.ends_with("mod.rs") { beside.to_owned() } else { file.with_extension("") };
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut path = None;
    for line in text.lines().map(str::trim) {
        if let Some(given) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            path = Some(beside.join(given));
        } else if let Some(name) = declared(line) {
            let candidates = [own.join(format!("{name}.rs")), own.join(name).join("mod.rs")];
            let found = path.take().or_else(|| candidates.into_iter().find(|candidate| candidate.exists()));
            let found = found.unwrap_or_else(|| panic!("{}: no file of `mod {name}`", file.display()));
            reach(&found.canonicalize().unwrap(), false, reached);
        }
    }
}

/// The module that a line declares: `pub(super) mod name;`.
fn declared(line: &str) -> Option<&str> {
    let (visibility, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    let is_declaration =
        visibility.is_empty() || (visibility.starts_with("pub") && visibility.ends_with(' '));
    (is_declaration && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(name)
}

/// Normal dependencies of every workspace member, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let normal = |dependency: &&serde_json::Value| dependency["kind"].is_null();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let entry = |package: &serde_json::Value| {
        let names =
            package["dependencies"].as_array().unwrap().iter().filter(normal).map(|d| text(&d["name"]));
        (text(&package["name"]), names.collect())
    };
    packages.map(entry).collect()
}
