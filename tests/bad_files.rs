//! No file can stop a job or harm its neighbours: each bad file is refused or quarantined with its reason.
//! `bad_input.py` makes the input and names it.

use crate::{
    bad_input::{job_over, manifest, run, status, text},
    support::{
        expect, stderr, stdout,
        tables::{Tables, assert_judged_alike},
    },
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};

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
    ("text of lists of numbers.parquet", "column `caption` is List"),
    ("text of numbers.parquet", "column `caption` is Float64, expected text"),
    ("vast footer.parquet", "not readable as Parquet"),
    ("zeros.parquet", "not readable as Parquet"),
];

/// Files whose footers are sound and whose rows cannot be read, with their rows and a part of the reason.
const BROKEN: [(&str, u64); 3] =
    [("damaged page header.parquet", 4), ("damaged page.parquet", 4), ("lengths beyond the page.parquet", 4)];

/// Paths of the refused files in a record.
fn refused(record: &Value) -> Vec<&str> {
    record["refused"].as_array().unwrap().iter().map(|file| text(&file["path"])).collect()
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
            assert!(said.contains(&format!("{}: there is no input file", url.display())), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}
