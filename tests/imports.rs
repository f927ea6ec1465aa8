//! Imports between our crates go one way, and libtorch stays where it belongs.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// What each crate may import of ours.
const ARROWS: [(&str, &[&str]); 11] = [
    ("capfilt-schemas", &[]),
    ("capfilt-bucket", &["capfilt-schemas"]),
    ("capfilt-pipeline", &["capfilt-schemas", "capfilt-bucket"]),
    ("capfilt-kernels", &[]),
    ("capfilt-med", &["capfilt-schemas", "capfilt-pipeline", "capfilt-kernels"]),
    ("capfilt-train", &["capfilt-schemas", "capfilt-bucket", "capfilt-pipeline", "capfilt-med"]),
    ("capfilt-world", &[]),
    ("capfilt-export", &["capfilt-schemas", "capfilt-bucket", "capfilt-pipeline"]),
    ("capfilt-evaluate", &["capfilt-schemas", "capfilt-bucket", "capfilt-pipeline", "capfilt-med"]),
    ("capfilt-workers", &["capfilt-schemas", "capfilt-bucket", "capfilt-pipeline"]),
    ("capfilt-coordinator", &["capfilt-schemas", "capfilt-bucket"]),
];

/// Packages that may name libtorch: the model and its kernels, its training and evaluation, and the front door, which links the binary.
const LIBTORCH: [&str; 5] = ["capfilt", "capfilt-kernels", "capfilt-med", "capfilt-train", "capfilt-evaluate"];

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
        let names_torch = dependencies.iter().any(|dependency| dependency == "tch" || dependency == "torch-sys");
        assert!(!names_torch || LIBTORCH.contains(&name.as_str()), "{name} names libtorch");
    }
}

/// Normal dependencies of every workspace member, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output =
        Command::new(cargo).args(["metadata", "--no-deps", "--format-version=1", "--offline"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let normal = |dependency: &&serde_json::Value| dependency["kind"].is_null();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let entry = |package: &serde_json::Value| {
        let names = package["dependencies"].as_array().unwrap().iter().filter(normal).map(|d| text(&d["name"]));
        (text(&package["name"]), names.collect())
    };
    packages.map(entry).collect()
}
