//! Third-party crates: each is used by the crate that names it, and has a licence that allows the product's.

use crate::support::repo;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Licences that need no consent and do not extend to the program.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "IJG",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Folders with the sources of one package.
const SOURCES: [&str; 4] = ["src", "tests", "benches", "examples"];

#[test]
fn every_dependency_has_an_allowed_licence() {
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let packages = metadata["packages"].as_array().unwrap();
    let third_party: Vec<_> = packages.iter().filter(|package| package["source"].is_string()).collect();
    assert!(third_party.len() > 200, "{} third-party packages", third_party.len());
    let refused: Vec<String> = third_party
        .into_iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences that are not in the list:\n{}", refused.join("\n"));
}

#[test]
fn a_licence_with_an_allowed_choice_is_allowed_and_one_with_a_refused_part_is_not() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "MIT OR GPL-3.0-only",
        "ISC AND (Apache-2.0 OR ISC) AND MIT",
        "(MIT OR GPL-2.0-only) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in
        ["GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "MIT AND (GPL-2.0-only OR MPL-2.0)"]
    {
        assert!(!is_allowed(refused), "{refused}");
    }
}

/// A dependency without a use has the reason in a comment on its line.
#[test]
fn every_dependency_is_used_by_the_crate_that_names_it() {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    let unused: Vec<String> = packages.iter().flat_map(unused_dependencies).collect();
    assert!(unused.is_empty(), "unused dependencies:\n{}", unused.join("\n"));
}

/// Whether an SPDX expression can be met with allowed licences; `AND` binds more tightly than `OR`.
pub fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    parts(&expression, " OR ").into_iter().any(|choice| {
        parts(choice, " AND ").into_iter().all(|part| {
            let inner = part.strip_prefix('(').and_then(|part| part.strip_suffix(')'));
            inner.map_or_else(|| ALLOWED.contains(&part), is_allowed)
        })
    })
}

/// The parts between operators outside of brackets.
fn parts<'a>(expression: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && expression[at..].starts_with(operator) => {
                found.push(expression[start..at].trim());
                start = at + operator.len();
            }
            _ => {}
        }
    }
    found.push(expression[start..].trim());
    found
}

/// Dependencies whose names are in no source file of their package.
fn unused_dependencies(package: &Value) -> Vec<String> {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let (folder, text) = (manifest.parent().unwrap(), fs::read_to_string(manifest).unwrap());
    let is_explained = |name: &str| {
        let mut lines = text.lines().filter(|line| line.split(['.', ' ']).next() == Some(name));
        lines.any(|line| line.contains('#'))
    };
    let of_program = words_below(&[folder.join("src"), folder.join("build.rs")]);
    let everywhere = words_below(&SOURCES.map(|name| folder.join(name)));
    let is_used = |dependency: &Value| {
        let words = if dependency["kind"] == "dev" { &everywhere } else { &of_program };
        has_word(words, &dependency["name"].as_str().unwrap().replace('-', "_"))
    };
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let unused = dependencies.filter(|one| !is_explained(one["name"].as_str().unwrap()) && !is_used(one));
    unused.map(|one| format!("{}: {}", manifest.display(), one["name"])).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

/// Source texts below these paths, without comments.
fn words_below(paths: &[PathBuf]) -> String {
    let mut found = String::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
            found += &words_below(&entries.collect::<Vec<_>>());
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
            let text = fs::read_to_string(path).unwrap();
            text.lines().for_each(|line| found.extend([line.split("//").next().unwrap(), "\n"]));
        }
    }
    found
}

/// Cargo's metadata of the workspace.
pub fn metadata(arguments: &[&str]) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version=1", "--offline"]).args(arguments).current_dir(repo());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
