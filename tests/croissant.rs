//! The promise of `croissant.json`: mlcroissant accepts the description of every format, finds the files with
//! their digests, and reads the samples of Parquet files by it.

use crate::support::{
    capfilt,
    exports::{count, export, record, six_formats},
    repo,
    tables::json_of,
};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

fn read(export: &Path) -> Value {
    let python = repo().join(".croissant/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py croissant`", python.display());
    json_of(Command::new(python).arg(repo().join("tests/croissant.py")).arg(export))
}

#[test]
fn mlcroissant_accepts_every_format_and_reads_the_samples_of_parquet() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["webdataset", "energon", "parquet", "captions", "json", "llava", "imagefolder", "mds"] {
        let to = folder.path().join(format);
        let made = match format {
            // Captions are for images that a trainer has: of jobs only.
            "captions" => {
                let mut captions = capfilt();
                captions.args(["export", "--json", "--format", format, "--job", &six_formats().job.url]);
                record(captions.arg("--to").arg(&to))
            }
            _ => record(&mut export(six_formats(), format, &to)),
        };
        let found = read(&to);
        assert_eq!(found["errors"], json!([]), "{format}");
        let files = found["files"].as_array().unwrap();
        assert!(!files.is_empty() && files.iter().all(|is_right| is_right == true), "{format}: {files:?}");
        let samples = found["samples"].as_array().unwrap();
        let expected = if ["parquet", "captions"].contains(&format) { count(&made, "samples") } else { 0 };
        assert_eq!(samples.len() as u64, expected, "{format}: {made}");
        if format == "parquet" {
            let is_whole = |sample: &Value| {
                sample["size"].is_array() && sample["caption"].as_str().is_some_and(|text| !text.is_empty())
            };
            assert!(samples.iter().all(is_whole), "{samples:?}");
        }
    }
}
