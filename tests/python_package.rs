//! The promises of the Python package: one order for any number of ranks and workers, a resume without a
//! repeated or a missing sample, and the same samples that the job or export has.

use crate::support::{
    exports::{count, export, record, samples, six_formats, sources},
    repo,
    tables::json_of,
};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn package(check: &str, folder: &Path) -> Command {
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut command = Command::new(python);
    command.arg(repo().join("tests/python_package.py")).arg(check).arg(folder);
    command.env("CAPFILT_PROGRAM", env!("CARGO_BIN_EXE_capfilt"));
    command
}

fn checked(command: &mut Command) -> Value {
    serde_json::from_value(json_of(command)).unwrap()
}

#[test]
fn one_by_four_two_by_two_and_four_by_one_ranks_and_workers_deliver_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let found = checked(&mut package("order", folder.path()));
    // 156 steps of 64 samples; the last 16 samples do not fill another.
    let expected = json!({
        "steps": [156, 156, 156], "equal": true, "samples": 9984, "distinct": 9984, "in_order_of_data": false,
        "first_epoch_is_the_same_again": true, "second_epoch_differs": true,
    });
    assert_eq!(found, expected);
}

#[test]
fn a_killed_epoch_resumes_on_other_ranks_without_a_repeated_or_a_missing_sample() {
    let folder = tempfile::tempdir().unwrap();
    checked(&mut package("order", folder.path())); // makes the data
    for (step, ranks, workers, batch) in [(20, "3", "1", "10"), (61, "1", "3", "7"), (119, "2", "0", "50")] {
        let log = folder.path().join(format!("log-{step}"));
        let mut running = package("consume", folder.path());
        running.args(["2", "2", "32"]).arg(&log).stdout(Stdio::null());
        let mut running = running.spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(120);
        let lines = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        while lines() < step {
            assert!(Instant::now() < limit, "{} of {step} steps after two minutes", lines());
            std::thread::sleep(Duration::from_millis(5));
        }
        running.kill().unwrap();
        running.wait().unwrap();
        let found = checked(package("resume", folder.path()).args([ranks, workers, batch]).arg(&log));
        println!("killed after step {step}: {found}");
        assert_eq!((&found["distinct"], &found["total"]), (&json!(10_000), &json!(10_000)), "{found}");
        assert!(found["before"].as_u64().unwrap() >= step as u64 * 64, "{found}");
    }
}

#[test]
fn texts_are_chosen_by_score_or_weight_and_broken_images_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let found = checked(&mut package("choices", folder.path()));
    assert_eq!((&found["best"], &found["errors"]), (&json!(9997), &json!(3)), "{found}");
    assert_eq!((&found["broken_left_out"], &found["repeatable"]), (&json!(true), &json!(true)), "{found}");
    assert_eq!(found["all"], json!(["web 7", "made 7"]));
    // 9,997 draws with probability 3/4: 0.02 is more than four standard deviations.
    let share = found["share_of_alt"].as_f64().unwrap();
    assert!((share - 0.75).abs() < 0.02, "{share}");
}

#[test]
fn an_export_in_tars_and_in_parquet_delivers_every_sample_in_six_image_formats() {
    for format in ["webdataset", "parquet"] {
        let folder = tempfile::tempdir().unwrap();
        let made = record(export(six_formats(), format, folder.path()).args(["--per", "image"]));
        let mut expected: Vec<String> = match format {
            "webdataset" => samples(folder.path()).iter().flat_map(texts_of).collect(),
            _ => Vec::new(),
        };
        expected.sort();
        let found = checked(&mut package("source", folder.path()));
        assert_eq!(found["samples"].as_u64(), Some(count(&made, "samples")), "{found}");
        assert_eq!(found["errors"], json!(0), "{found}");
        assert!(found["texts"].as_array().unwrap().len() as u64 >= count(&made, "samples"), "{found}");
        if format == "webdataset" {
            assert_eq!(found["texts"], json!(expected));
        }
    }
}

fn texts_of(sample: &Value) -> Vec<String> {
    let captions = sample["record"]["captions"].as_array().unwrap();
    captions.iter().map(|caption| caption["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_tables_of_a_job_open_in_pyarrow_and_datasets() {
    let found = checked(&mut package("tables", Path::new(&sources().job.url)));
    assert_eq!(found["ledger_rows"], json!(240), "{found}");
    assert_eq!(found["rows"], found["hf"], "{found}");
    assert!(found["image"].as_str().unwrap().starts_with("PIL"), "{found}");
}
