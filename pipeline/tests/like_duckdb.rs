//! `where` selects the same rows as DuckDB: generated conditions over columns of every type, from a seed.

#![allow(clippy::unwrap_used)]

mod shards;

use serde_json::Value;
use std::{path::Path, process::Command};

const SEED: u64 = 20;
const CONDITIONS: usize = 700;

fn made(folder: &Path) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new(root.join("../.venv/bin/python"));
    python
        .arg(root.join("tests/like_duckdb.py"))
        .arg(folder)
        .args([SEED.to_string(), CONDITIONS.to_string()]);
    let output = python.output().expect("the tests' Python is there; `make setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn where_selects_the_rows_that_duckdb_selects() {
    let folder = tempfile::tempdir().unwrap();
    let made = made(folder.path());
    println!("seed {SEED}: {} conditions were refused by DuckDB", made["refused"]);
    let (mut compared, mut different) = (0, Vec::new());
    for (file, conditions) in made["found"].as_object().unwrap() {
        for (condition, expected) in conditions.as_object().unwrap() {
            let rows =
                shards::read(folder.path(), &format!("{file}.parquet"), shards::selecting(condition), 64)
                    .unwrap();
            let samples = rows.iter().flat_map(|rows| &rows.samples);
            let found: Vec<u64> = samples.filter(|sample| sample.selected).map(|sample| sample.row).collect();
            compared += 1;
            if serde_json::to_value(&found).unwrap() != *expected {
                different.push(format!("{file}: {condition}\n  DuckDB {expected}\n  here   {found:?}"));
            }
        }
    }
    assert!(
        different.is_empty(),
        "seed {SEED}: {} of {compared} differ:\n{}",
        different.len(),
        different.join("\n")
    );
    assert!(compared > CONDITIONS * 9 / 10, "only {compared} conditions were compared");
}
