//! The promise of the list of parts: it names every crate in the program and nothing else, each with a
//! licence that allows the product's, and it is in the wheel and in the installation.

use crate::{
    dependencies::is_allowed,
    deploy,
    support::{expect, python, repo, stdout},
    wheel,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// Folder with the files of `scripts/sbom.py`.
fn written() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        expect(python("scripts/sbom.py").arg(&folder), 0);
        folder
    });
    &FOLDER
}

fn bill() -> Value {
    serde_json::from_slice(&fs::read(written().join("capfilt.cdx.json")).unwrap()).unwrap()
}

fn components(bill: &Value) -> &[Value] {
    bill["components"].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key}: {value}"))
}

/// "name version" of every crate of the list.
fn crates(bill: &Value) -> BTreeSet<String> {
    let crates = components(bill).iter().filter(|part| text(part, "purl").starts_with("pkg:cargo/"));
    crates.map(|part| format!("{} {}", text(part, "name"), text(part, "version"))).collect()
}

#[test]
fn the_list_is_valid_cyclonedx_and_a_fault_is_found() {
    let file = written().join("capfilt.cdx.json");
    expect(python("tests/sbom.py").arg(&file), 0);
    let mut wrong = bill();
    wrong["components"][0]["licences"] = "MIT".into();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.json");
    fs::write(&file, wrong.to_string()).unwrap();
    expect(python("tests/sbom.py").arg(&file), 1);
}

#[test]
fn the_list_has_exactly_the_third_party_crates_that_cargo_links() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut tree = Command::new(cargo);
    tree.current_dir(repo()).args(["tree", "--locked", "--offline", "-p", "capfilt", "--prefix", "none"]);
    tree.args(["-e", "normal,no-proc-macro", "--target", "x86_64-unknown-linux-gnu"]);
    let said = stdout(&expect(tree.args(["--format", "{p} {r}"]), 0));
    // Our own crates have a path instead of a repository.
    let third_party = said.lines().filter(|line| !line.is_empty() && !line.contains("(/"));
    let linked: BTreeSet<String> = third_party
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ").replace(" v", " "))
        .collect();
    assert!(linked.len() > 200, "{} crates", linked.len());
    let listed = crates(&bill());
    assert_eq!(listed.symmetric_difference(&linked).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// A panic message has the path of its source file, and the path has the crate.
#[test]
fn every_crate_of_which_the_program_has_a_source_path_is_in_the_list() {
    let program = fs::read(env!("CARGO_BIN_EXE_capfilt")).unwrap();
    let program = String::from_utf8_lossy(&program);
    let listed: BTreeSet<String> = crates(&bill()).iter().map(|one| one.replace(' ', "-")).collect();
    let paths = program.split("/registry/src/").skip(1).filter_map(|path| path.split('\0').next());
    let paths = paths.filter_map(|path| path.split('/').nth(1));
    let found: BTreeSet<&str> = paths.collect();
    assert!(found.len() > 50, "{found:?}");
    let missing: Vec<_> = found.into_iter().filter(|name| !listed.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_part_has_an_allowed_licence_and_the_compiled_c_code_is_a_part() {
    let bill = bill();
    for part in components(&bill) {
        let licence = text(&part["licenses"][0], "expression");
        // The licence of libbzip2, as permissive as BSD-3-Clause.
        assert!(licence == "bzip2-1.0.6" || is_allowed(licence), "{part}");
    }
    let purls: Vec<&str> = components(&bill).iter().map(|part| text(part, "purl")).collect();
    for native in ["boringssl", "bzip2@", "mozjpeg", "zstd@"] {
        assert!(purls.iter().any(|purl| purl.starts_with(&format!("pkg:generic/{native}"))), "{purls:?}");
    }
}

#[test]
fn the_licences_name_every_part_and_hold_their_texts() {
    let licences = fs::read_to_string(written().join("THIRD-PARTY-LICENSES.txt")).unwrap();
    for part in components(&bill()) {
        let version = part["version"].as_str().map(|version| format!(" {version}")).unwrap_or_default();
        let line = format!("{}{version}: ", text(part, "name"));
        assert!(licences.lines().any(|there| there.starts_with(&line)), "{line}");
    }
    for text in ["Apache License", "Permission is hereby granted, free of charge", "Independent JPEG Group"] {
        assert!(licences.contains(text), "{text}");
    }
    let without = licences.lines().filter(|line| line.ends_with("has no file with a text")).count();
    assert!(without < 15, "{without} parts have no file with a text");
}

#[test]
fn the_wheel_and_the_installation_carry_the_list_and_the_licences() {
    let site = stdout(&expect(
        Command::new(wheel::venv().join("bin/python"))
            .args(["-c", "import importlib.metadata as m; print(m.distribution('capfilt')._path)"]),
        0,
    ));
    let info = Path::new(site.trim());
    let share = deploy::prefix().join("share/capfilt");
    for (folder, list) in [(info.join("licenses"), info.join("sboms")), (share.clone(), share)] {
        for (folder, name) in [(&list, "capfilt.cdx.json"), (&folder, "THIRD-PARTY-LICENSES.txt")] {
            assert!(
                fs::read(folder.join(name)).unwrap() == fs::read(written().join(name)).unwrap(),
                "{name}"
            );
        }
        assert_eq!(fs::read(folder.join("LICENSE")).unwrap(), fs::read(repo().join("LICENSE")).unwrap());
    }
    let metadata = fs::read_to_string(info.join("METADATA")).unwrap();
    assert!(metadata.contains("\nLicense-Expression: Apache-2.0\n"), "{metadata}");
}
