//! The promise that training programs yield every sample of an export: read by their own readers, which
//! `scripts/python.py readers` installs.

use crate::support::{
    exports::{count, export, record, samples, six_formats},
    repo,
    tables::json_of,
};
use std::{collections::BTreeMap, process::Command};

#[test]
fn open_clip_webdataset_datasets_energon_and_lavis_yield_every_sample_of_six_formats() {
    let folder = tempfile::tempdir().unwrap();
    let made = record(&mut export(six_formats(), "webdataset", folder.path()));
    assert_eq!(count(&made, "samples"), 210, "{made}");
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut command = Command::new(python);
    command.arg(repo().join("tests/export_consumers.py")).arg(folder.path().join("data"));
    let read: BTreeMap<String, Vec<String>> = serde_json::from_value(json_of(&mut command)).unwrap();
    let mut expected: Vec<String> =
        samples(folder.path()).iter().map(|sample| sample["text"].as_str().unwrap().to_owned()).collect();
    expected.sort();
    assert_eq!(read.len(), 6, "{:?}", read.keys());
    for (reader, texts) in &read {
        println!("{reader}: {} of {}", texts.len(), expected.len());
        assert!(*texts == expected, "{reader} yields {} of {} samples", texts.len(), expected.len());
    }
}
