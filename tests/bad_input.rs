//! The promise that no input can stop a job or harm its neighbours: each bad row and each bad file gets its
//! status and its reason, and everything else is judged as if it were alone. `bad_input.py` makes the input,
//! and names it.

use crate::support::{
    Job, capfilt, expect, python, stderr, stdout,
    tables::{Tables, assert_judged_alike, json_of},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, process::Output};

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

/// Files that can give no shard, with a part of the reason.
const REFUSED: [(&str, &str); 20] = [
    ("cut.parquet", "not readable as Parquet"),
    ("csv.parquet", "not readable as Parquet"),
    ("cut in the middle, footer mended.parquet", "outside the file of"),
    ("damaged footer.parquet", "not readable as Parquet"),
    ("empty.parquet", "the file is empty (0 bytes)"),
    ("encrypted.parquet", "ncrypt"),
    ("end alone.parquet", "not readable as Parquet"),
    ("four bytes.parquet", "not readable as Parquet"),
    ("image of another struct.parquet", "column `jpg` is Struct"),
    ("image of lists.parquet", "column `jpg` is List"),
    ("image of numbers.parquet", "column `jpg` is Int64, expected bytes"),
    ("key of fractions.parquet", "column `key` is Float64, expected text or an integer"),
    ("magic twice.parquet", "not readable as Parquet"),
    ("no columns.parquet", "there is no column `jpg`"),
    ("no image.parquet", "there is no column `jpg` (input.image); the columns are key, caption"),
    ("no text.parquet", "there is no column `caption` (input.text)"),
    ("text of lists.parquet", "column `caption` is List"),
    ("text of numbers.parquet", "column `caption` is Float64, expected text"),
    ("vast footer.parquet", "not readable as Parquet"),
    ("zeros.parquet", "not readable as Parquet"),
];

/// Files whose footers are sound and whose rows cannot be read, with their rows and a part of the reason.
const BROKEN: [(&str, u64); 3] =
    [("damaged page header.parquet", 4), ("damaged page.parquet", 4), ("lengths beyond the page.parquet", 4)];

/// A job over one case of `bad_input.py`; the input lies in the job's folder.
fn job_over(case: &str) -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    expect(python("tests/bad_input.py").args(["write", case]).arg(&web), 0);
    let url = format!("input.url={}", web.display());
    job.set(&[&url])
}

/// Runs a job that ends with a code, without a panic anywhere.
fn run(job: &Job, code: i32) -> Output {
    let output = expect(&mut job.command("run"), code);
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

fn manifest(run: &Output) -> Value {
    serde_json::from_slice(&std::fs::read(stdout(run).lines().last().unwrap()).unwrap()).unwrap()
}

fn status(job: &Job) -> Value {
    json_of(capfilt().args(["status", "--json", "--job", &job.url]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

/// Paths of the refused files in a record.
fn refused(record: &Value) -> Vec<&str> {
    record["refused"].as_array().unwrap().iter().map(|file| text(&file["path"])).collect()
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
        assert_eq!((text(&row["status"]), text(&row["web_status"])), (expected, "not_reached"), "{key}");
        assert_eq!(row["detail"].is_null(), expected == "image_missing", "{key}: {row}");
        assert!(row["detail"].as_str().unwrap_or_default().contains(detail), "{key}: {}", row["detail"]);
        assert!(
            row["web_itm"].is_null() && row["synthetic"] == json!([]) && row["control_itm"].is_null(),
            "{key}"
        );
    }
    for (key, expected) in TEXTS {
        let row = tables.row(key);
        assert_eq!((text(&row["status"]), text(&row["web_status"])), ("judged", expected), "{key}");
        assert_eq!(row["web_itm"].is_number(), expected == "judged", "{key}");
        // A bad text does not lose the image.
        assert!(!text(&row["synthetic"][0]["text"]).is_empty(), "{key}");
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
        assert!(row["web_text"].is_string(), "{key}");
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
fn a_file_that_is_none_or_breaks_is_named_everywhere_and_harms_no_other() {
    let (clean, job) = (job_over("clean"), job_over("files").set(&["limits.attempts=2"]));
    let plan: Value =
        serde_json::from_str(&stdout(&expect(job.command("plan").args(["--json", "--calibrate", "0"]), 1)))
            .unwrap();
    let expected: BTreeSet<&str> = REFUSED.into_iter().map(|(path, _)| path).collect();
    assert_eq!(refused(&plan).into_iter().collect::<BTreeSet<_>>(), expected);
    for (path, reason) in REFUSED {
        let files = plan["refused"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == path).unwrap();
        assert!(text(&file["reason"]).contains(reason), "{file}");
    }

    run(&clean, 0);
    let ran = run(&job, 1);
    let (manifest, status) = (manifest(&ran), status(&job));
    assert_eq!((refused(&manifest), refused(&status)), (refused(&plan), refused(&plan)));
    expected.iter().for_each(|path| assert!(stdout(&ran).contains(&format!("refused {path}: ")), "{path}"));

    // What breaks while it is read is set aside as a shard, with the file's name in the reason.
    let shards = manifest["quarantined"].as_array().unwrap();
    assert_eq!(shards.len(), BROKEN.len(), "{shards:#?}");
    for (path, rows) in BROKEN {
        let shard =
            shards.iter().find(|shard| text(&shard["reason"]).starts_with(&format!("unreadable: {path}: ")));
        assert_eq!(shard.unwrap_or_else(|| panic!("{path}: {shards:#?}"))["rows"], rows, "{path}");
    }
    let shards = json!({"planned": 5, "committed": 2, "quarantined": 3, "open": 0, "repairing": 0});
    assert_eq!((&status["shards"], &status["done"]), (&shards, &json!(true)));

    let verified = job.verify(0);
    assert_eq!((&verified["ok"], &verified["rows"]), (&json!(true), &json!(24)));
    let (clean, tables) = (Tables::of(&clean), Tables::of(&job));
    for (good, found) in clean.ledger.iter().zip(&tables.ledger) {
        assert_judged_alike(good, found, text(&good["key"]));
    }
}

#[test]
fn a_page_that_panics_the_parquet_reader_costs_its_shard_and_not_the_worker() {
    let job = job_over("panics").set(&["limits.attempts=1"]);
    let ran = expect(&mut job.command("run"), 1);
    assert!(!stderr(&ran).contains(" ended: "), "{}", stderr(&ran));
    let reason = &manifest(&ran)["quarantined"][0]["reason"];
    assert!(text(reason).starts_with("unreadable: a.parquet: the Parquet reader gave up: "), "{reason}");
    assert_eq!(job.verify(0)["rows"], 4);
}

#[test]
fn columns_that_no_file_has_are_one_error_of_the_settings() {
    let job = job_over("clean");
    for (setting, message) in [
        ("input.image=picture", "no column `picture` (input.image); the columns are key, jpg, caption"),
        ("input.image=captions", "did you mean input.image = \"caption\"?"),
        ("input.text=alt", "no column `alt` (input.text)"),
        (
            "input.key=jpg",
            "column `jpg` is Binary, expected text or an integer; is input.key the right column?",
        ),
        ("input.passthrough=[\"url\"]", "no column `url` (input.passthrough)"),
        ("input.where=width > 256", "no column `width` (input.where)"),
        ("input.where=key > 256", "column `key` is Utf8, but input.where compares it with 256"),
        ("input.where=key >", "input.where: expected"),
    ] {
        for command in ["plan", "run"] {
            let output = expect(job.command(command).args(["-s", setting]), 2);
            let said = stderr(&output);
            assert!(said.contains(message), "{command} {setting}: {said}");
            assert_eq!(said.lines().count(), 1, "{command} {setting}: {said}");
        }
    }
    assert!(!Path::new(&job.url).join("job.json").exists(), "a job was created");
}

#[test]
fn an_input_without_parquet_is_an_error_of_the_settings() {
    let job = job_over("nothing");
    for url in [job.folder.path().join("web"), job.folder.path().join("nowhere")] {
        for command in ["plan", "run"] {
            let output =
                expect(job.command(command).args(["-s", &format!("input.url={}", url.display())]), 2);
            let said = stderr(&output);
            assert!(said.contains(&format!("{}: there is no Parquet file", url.display())), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
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
