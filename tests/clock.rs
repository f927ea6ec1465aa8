//! Dispatch, back-offs, leases and outages read one clock, which a test can pause and advance: tokio's.

use crate::{
    module_order::{code, uses_in},
    support::repo,
};
use std::path::{Path, PathBuf};

/// Folders and files whose waits belong to the clock.
const OF_THE_CLOCK: [&str; 4] =
    ["coordinator/src/dispatch", "coordinator/src/preflight.rs", "store/src", "store/testing/src"];

/// Paths of the standard library that read or await the system's monotonic clock.
const OF_THE_SYSTEM: [&str; 3] = ["std::time::Instant", "std::thread::sleep", "std::thread"];

#[test]
fn dispatch_and_stores_read_tokio_s_clock() {
    let files: Vec<PathBuf> = OF_THE_CLOCK.iter().flat_map(|path| sources(&repo().join(path))).collect();
    assert!(files.len() > 70, "{} files", files.len());
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            system_clocks(&text).into_iter().map(|path| format!("{}: {path}", file.display()))
        })
        .collect();
    assert!(found.is_empty(), "use tokio::time instead:\n{}", found.join("\n"));
}

#[test]
fn a_use_of_the_system_s_clock_is_found() {
    for text in [
        "use std::{sync::Arc, time::{Duration, Instant}};",
        "use std::time::Instant as Clock;",
        "fn f() { let now = std::time::Instant::now(); }",
        "use std::thread::sleep;",
        "use std::thread;\nfn f() { thread::sleep(x) }",
    ] {
        assert_eq!(system_clocks(text).len(), 1, "{text}");
    }
    for text in ["use std::time::Duration;", "use tokio::time::{Instant, sleep};", "// std::time::Instant"] {
        assert!(system_clocks(text).is_empty(), "{text}");
    }
}

/// Imports and paths of the system's clock in a source text.
fn system_clocks(text: &str) -> Vec<String> {
    let text = code(text);
    let imported = uses_in(&text).into_iter().map(|one| one.path.join("::"));
    let written = OF_THE_SYSTEM[..2].iter().filter(|path| text.contains(**path)).count();
    let mut found: Vec<String> = imported.filter(|path| OF_THE_SYSTEM.contains(&path.as_str())).collect();
    if found.is_empty() && written > 0 {
        found.push("a path in the code".to_owned());
    }
    found
}

/// Source files of a folder, or the file itself.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "rs"));
    files.flat_map(|path| sources(&path)).collect()
}
