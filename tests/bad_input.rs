//! No row can stop a job or harm its neighbours: each bad row gets its status and its reason, and every other
//! row the scores that it has alone. `bad_input.py` makes the input and names it.

use crate::support::{
    Job, capfilt, expect, python, stderr, stdout,
    tables::{Tables, assert_judged_alike, captions, input_text, json_of},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Output};

/// Bad images with their status and a part of the ledger's `detail`.
const IMAGES: [(&str, &str, &str); 19] = [
    ("truncated jpeg", "image_undecodable", ""),
    ("truncated png", "image_undecodable", ""),
    ("damaged png", "image_undecodable", ""),
    ("jpeg's magic, png's body", "image_undecodable", ""),
    ("png's magic alone", "image_undecodable", ""),
    ("png without pixels", "image_undecodable", ""),
    ("gif's magic, noise", "image_undecodable", ""),
    ("wrong magic", "image_unsupported", "88, 50, 4e, 47"),
    ("html", "image_unsupported", "HTML"),
    ("svg", "image_unsupported", "SVG"),
    ("json", "image_unsupported", "JSON"),
    ("avif", "image_unsupported", "avif"),
    ("one byte", "image_unsupported", "ff"),
    ("zeros", "image_unsupported", "00, 00"),
    ("vast png", "image_too_large", "30000 × 30000 pixels; limits.pixels is 100000000"),
    ("vast jpeg", "image_too_large", "30000 × 30000 pixels; limits.pixels is 100000000"),
    ("long line", "image_too_large", "70000 × 1"),
    ("zero bytes", "image_missing", ""),
    ("null image", "image_missing", ""),
];

/// Texts with their status; the image is a good one.
const TEXTS: [(&str, &str); 23] = [
    ("null text", "missing"),
    ("empty text", "empty"),
    ("blank text", "empty"),
    ("punctuation", "empty"),
    ("emoji alone", "empty"),
    ("100 kB text", "too_long"),
    ("one byte too long", "too_long"),
    ("as long as allowed", "judged"),
    ("one word of 16 kB", "judged"),
    ("latin-1", "not_utf8"),
    ("utf-16", "not_utf8"),
    ("half an emoji", "not_utf8"),
    ("chinese", "unsupported_script"),
    ("arabic", "unsupported_script"),
    ("russian", "unsupported_script"),
    ("chinese and latin", "judged"),
    ("emoji", "judged"),
    ("rtl marks", "judged"),
    ("control characters", "judged"),
    ("newlines", "judged"),
    ("quotes", "judged"),
    ("many combining marks", "judged"),
    ("special tokens", "judged"),
];

/// A job over one case of `bad_input.py`; the input lies in the job's folder.
pub fn job_over(case: &str) -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    expect(python("tests/bad_input.py").args(["write", case]).arg(&web), 0);
    let url = format!("input.url={}", web.display());
    job.set(&[&url])
}

/// Runs a job that ends with a code, without a panic anywhere.
pub fn run(job: &Job, code: i32) -> Output {
    let output = expect(&mut job.command("run"), code);
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

pub fn manifest(run: &Output) -> Value {
    serde_json::from_slice(&std::fs::read(stdout(run).lines().last().unwrap()).unwrap()).unwrap()
}

pub fn status(job: &Job) -> Value {
    json_of(capfilt().args(["status", "--json", "--job", &job.url]))
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

#[test]
fn every_bad_row_gets_its_status_and_its_neighbours_the_scores_they_have_alone() {
    let (clean, bad) = (job_over("clean"), job_over("rows").set(&["shards.rows=32"]));
    run(&clean, 0);
    let ran = run(&bad, 1);
    assert_eq!(bad.verify(0)["ok"], true);
    let (clean, tables) = (Tables::of(&clean), Tables::of(&bad));
    assert_eq!(tables.ledger.len(), clean.ledger.len() + IMAGES.len() + TEXTS.len());
    for good in &clean.ledger {
        let key = text(&good["key"]);
        assert_eq!(good["status"], "judged", "{key}");
        assert_judged_alike(good, tables.row(key), key);
    }
    for (key, expected, detail) in IMAGES {
        let row = tables.row(key);
        assert_eq!(
            (text(&row["status"]), text(&input_text(row)["status"])),
            (expected, "not_reached"),
            "{key}"
        );
        assert_eq!(row["detail"].is_null(), expected == "image_missing", "{key}: {row}");
        assert!(row["detail"].as_str().unwrap_or_default().contains(detail), "{key}: {}", row["detail"]);
        assert!(
            input_text(row)["itm"].is_null() && captions(row).is_empty() && row["control_itm"].is_null(),
            "{key}"
        );
    }
    for (key, expected) in TEXTS {
        let row = tables.row(key);
        let input = input_text(row);
        assert_eq!((text(&row["status"]), text(&input["status"])), ("judged", expected), "{key}");
        assert_eq!(input["itm"].is_number(), expected == "judged", "{key}");
        // A bad text does not lose the image.
        assert!(!text(&captions(row)[0]["text"]).is_empty(), "{key}");
    }
    let by_status = &status(&bad)["rows_by_status"];
    assert_eq!(*by_status, manifest(&ran)["tally"]["rows"]);
    let expected = json!({
        "judged": 47, "image_missing": 2, "image_undecodable": 7, "image_unsupported": 7,
        "image_too_large": 3,
    });
    assert_eq!(*by_status, expected);
}

#[test]
fn what_could_not_be_processed_is_in_the_quarantine_with_its_bytes_and_reason() {
    let job = job_over("rows");
    run(&job, 1);
    let tables = Tables::of(&job);
    let aside: BTreeSet<&str> = tables.quarantine.iter().map(|row| text(&row["key"])).collect();
    let expected: BTreeSet<&str> =
        IMAGES.into_iter().filter(|(_, status, _)| *status != "image_missing").map(|(key, ..)| key).collect();
    assert_eq!(aside, expected);
    for row in &tables.quarantine {
        let key = text(&row["key"]);
        let ledger = tables.row(key);
        for column in ["file", "row", "status", "detail"] {
            assert_eq!(row[column], ledger[column], "{key}: {column}");
        }
        // The ledger's digest is of the input's bytes, and `tables.py` shows bytes by their digest.
        assert_eq!(row["image"], ledger["image_sha256"], "{key}");
        assert!(row["texts"][0]["text"].is_string(), "{key}");
    }
}

#[test]
fn every_form_of_text_bytes_and_parquet_gives_the_same_scores() {
    let (clean, forms) = (job_over("clean"), job_over("spellings"));
    run(&clean, 0);
    run(&forms, 0);
    let (clean, forms) = (Tables::of(&clean), Tables::of(&forms));
    let files: BTreeSet<&str> = forms.ledger.iter().map(|row| text(&row["file"])).collect();
    assert_eq!((files.len(), forms.ledger.len()), (28, 28 * 6));
    for (i, row) in forms.ledger.iter().enumerate() {
        let (file, expected) = (text(&row["file"]), &clean.ledger[i % 6]);
        assert_judged_alike(expected, row, file);
        let is_number = ["int64 key.parquet", "int32 key.parquet", "uint16 key.parquet"].contains(&file);
        assert_eq!(
            row["key"],
            if is_number { json!((i % 6).to_string()) } else { expected["key"].clone() },
            "{file}"
        );
    }
}

#[test]
fn keys_may_be_numbers_doubled_or_missing() {
    let job = job_over("keys");
    run(&job, 0);
    let keys: Vec<Value> = Tables::of(&job).ledger.iter().map(|row| row["key"].clone()).collect();
    let numbers = [
        json!("7"),
        json!("7"),
        json!(null),
        json!(i64::MIN.to_string()),
        json!(i64::MAX.to_string()),
        json!("0"),
    ];
    let texts = [
        json!("twice"),
        json!("twice"),
        json!(null),
        json!(""),
        json!("\u{1f436}\u{202e}\n\0"),
        json!("k".repeat(5000)),
    ];
    assert_eq!(keys, [numbers, texts].concat());
    assert_eq!(job.verify(0)["rows"], 12);
}

#[test]
fn columns_of_any_type_pass_through() {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    let columns = stdout(&expect(python("tests/bad_input.py").args(["write", "odd"]).arg(&web), 0));
    let (url, columns) =
        (format!("input.url={}", web.display()), format!("input.passthrough={}", columns.trim()));
    let job = job.set(&[&url, &columns, "filter.synthetic_threshold=0.0", "filter.web_threshold=0.0"]);
    run(&job, 0);
    let found = json_of(python("tests/bad_input.py").args(["passed", &job.url]).arg(web.join("a.parquet")));
    assert_eq!((&found["rows"], found["columns"].as_array().unwrap().len()), (&json!(3), 20));
    assert_eq!(found["other"], json!({}));
}

#[test]
fn a_row_that_names_no_readable_object_below_the_input_says_so() {
    let job = job_over("paths").set(&["limits.image_bytes=64 KiB"]);
    run(&job, 1);
    let tables = Tables::of(&job);
    for (key, status, detail) in [
        ("good", "judged", ""),
        ("whole URL", "judged", ""),
        ("empty", "image_missing", ""),
        ("null", "image_missing", ""),
        ("no image", "image_unsupported", ""),
        ("large", "image_too_large", "images/large.jpg has 70000 bytes; limits.image_bytes is 65536"),
        ("gone", "image_unreadable", "images/gone.jpg"),
        ("folder", "image_unreadable", "images"),
        ("nul", "image_unreadable", ""),
        ("long name", "image_unreadable", ""),
        ("many folders", "image_unreadable", ""),
        ("no name", "image_unreadable", "is not below"),
        ("elsewhere", "image_unreadable", "/etc/passwd is not below"),
        ("another scheme", "image_unreadable", "is not below"),
        ("another bucket", "image_unreadable", "is not below"),
        ("above", "image_unreadable", "is not below"),
    ] {
        let row = tables.row(key);
        assert_eq!(text(&row["status"]), status, "{key}: {}", row["detail"]);
        assert!(row["detail"].as_str().unwrap_or_default().contains(detail), "{key}: {}", row["detail"]);
    }
    assert_judged_alike(tables.row("good"), tables.row("whole URL"), "a path and a URL");
    assert_eq!(job.verify(0)["ok"], true);
}

#[test]
fn too_many_undecodable_rows_stop_the_job_before_their_shard_is_committed() {
    let job = job_over("budget").set(&["shards.rows=1"]);
    let output = run(&job, 3);
    let message = "25 of 40 rows are image_undecodable, more than limits.failure_budget = 0.05 allows";
    assert!(stderr(&output).lines().last().unwrap().contains(message), "{}", stderr(&output));
    let stopped = status(&job);
    assert_eq!((&stopped["done"], &stopped["failures"]), (&json!(false), &json!({"failure_budget": 1})));
    assert_eq!(
        stopped["shards"],
        json!({"planned": 2, "committed": 1, "quarantined": 0, "open": 1, "repairing": 0})
    );
    let tables = Tables::of(&job);
    assert_eq!((tables.ledger.len(), tables.quarantine.len()), (15, 0));

    let other = format!("job.url={}-2", job.url);
    let mut patient = job.set(&["limits.failure_budget=0.7", &other]);
    patient.url.push_str("-2");
    patient.objects = patient.url.clone().into();
    run(&patient, 1);
    assert_eq!(Tables::of(&patient).quarantine.len(), 25);
}
