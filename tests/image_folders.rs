//! Folders of images with texts beside them, and the tables that `imagefolder` reads, are inputs like Parquet
//! files, wherever they lie.

use crate::{
    doors::write,
    support::{
        Job, expect, kills,
        s3::S3,
        small::first_rows,
        stderr, stdout,
        tables::{Tables, assert_judged_alike, json_of},
    },
};
use capfilt_store_testing::hub::Hub;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// Some rows of `tests/data/web`, written as a kind of input.
struct Web {
    folder: tempfile::TempDir,
}

impl Web {
    fn of(kind: &str, rows: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("web.parquet");
        first_rows("web-00001.parquet", rows, rows, &table);
        write(kind, &folder.path().join("input"), &[], &[table]);
        Self { folder }
    }

    fn input(&self) -> PathBuf {
        self.folder.path().join("input")
    }

    fn job(&self) -> Job {
        Job::over(&self.input().display().to_string()).set(&["shards.rows=20"])
    }

    fn parquet_job(&self) -> Job {
        Job::over(&self.folder.path().join("web.parquet").display().to_string())
    }
}

fn plan(job: &Job, code: i32) -> Value {
    serde_json::from_str(&stdout(&expect(job.command("plan").arg("--json"), code))).unwrap()
}

fn by_key(job: &Job) -> BTreeMap<String, Value> {
    let name = |row: &Value| row["key"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    Tables::of(job).ledger.into_iter().map(|row| (name(&row), row)).collect()
}

/// Usual rows, which have an image and a text.
fn assert_same(expected: &Job, found: &Job) {
    let (expected, found) = (by_key(expected), by_key(found));
    assert!(expected.keys().eq(found.keys()), "other rows");
    expected.iter().for_each(|(key, row)| assert_judged_alike(row, &found[key], key));
}

#[test]
fn each_folder_with_images_is_planned_by_its_listing_and_cut_into_shards() {
    let web = Web::of("sidecars", 90);
    let (input, expected) = (web.input(), web.parquet_job());
    fs::create_dir_all(input.join("more/deep")).unwrap();
    let mut names: Vec<_> = fs::read_dir(&input).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    // Some images with their texts lie deeper; others have no text, a JSON object, or a hidden name.
    for path in names.iter().filter(|path| path.is_file()).skip(120).take(50) {
        fs::rename(path, input.join("more/deep").join(path.file_name().unwrap())).unwrap();
    }
    for (name, text) in
        [("notes.txt", "no image"), ("_x.jpg", "hidden"), ("README", "none"), ("a.json", "{}")]
    {
        fs::write(input.join(name), text).unwrap();
    }
    let job = web.job();
    let planned = plan(&job, 0);
    assert_eq!(
        (&planned["files"], &planned["rows"], &planned["rows_exact"], &planned["shards"]),
        (&json!(2), &json!(90), &json!(true), &json!(4 + 2)),
        "{planned}"
    );
    job.run();
    expected.run();
    assert_same(&expected, &job);
    assert_eq!(job.verify(0)["rows"], 90);
    let files: Vec<Value> =
        Tables::of(&job).ledger.iter().map(|row| json!([row["file"], row["member"]])).collect();
    assert!(files.contains(&json!(["./", "000000800.jpg"])), "{files:?}");
    assert!(files.iter().any(|file| file[0] == "more/deep/"), "{files:?}");
}

#[test]
fn a_folder_whose_files_change_after_the_plan_is_refused_by_name() {
    let web = Web::of("sidecars", 40);
    let job = web.job();
    expect(job.command("run").arg("--plan-only"), 0);
    fs::write(web.input().join("000000805.txt"), "another text").unwrap();
    let said = stderr(&expect(&mut job.command("run"), 2));
    assert!(said.contains("input file ./ changed"), "{said}");
}

#[test]
fn images_beside_a_table_are_those_that_its_rows_name() {
    let web = Web::of("imagefolder", 30);
    fs::write(web.input().join("train/other.jpg"), "not named by a row").unwrap();
    assert_eq!((&plan(&web.job(), 0)["files"], &plan(&web.job(), 0)["rows"]), (&json!(2), &json!(30)));
    let expected = web.parquet_job();
    expected.run();
    web.job().run();
    let job = web.job();
    job.run();
    assert_same(&expected, &job);
    // One of the tables, which input.url names: its images lie beside it.
    let train = web.input().join("train/metadata.jsonl").display().to_string();
    let alone = Job::over(&train);
    alone.run();
    assert_eq!(alone.verify(0)["rows"], 15);
    assert!(Tables::of(&alone).ledger.iter().all(|row| row["status"] == "judged"));
}

#[test]
fn a_folder_and_its_tables_give_the_same_in_a_bucket_and_on_the_hub() {
    for kind in ["sidecars", "imagefolder", "csv"] {
        let web = Web::of(kind, 60);
        let local = web.job();
        local.run();
        let s3 = S3::start();
        put_in_bucket(&s3, "input", &web.input());
        let mut remote = Job::over(&s3.url("input")).set(&["shards.rows=20"]);
        remote.env = s3.env();
        remote.run();
        assert!(remote.committed() == local.committed(), "{kind}: the committed tables differ");
        let hub = Hub::start();
        put_below(&hub, &web.input(), &web.input());
        hub.commit("datasets/tests/images", "main");
        let mut on_hub = Job::over("hf://datasets/tests/images").set(&["shards.rows=20"]);
        let cache = web.folder.path().join("cache").display().to_string();
        let variables =
            [("HF_ENDPOINT", hub.endpoint()), ("CAPFILT_CACHE", &cache), ("NO_PROXY", "127.0.0.1")];
        on_hub.env = variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        on_hub.run();
        assert!(on_hub.committed() == local.committed(), "{kind}: the committed tables differ on the Hub");
    }
}

fn put_in_bucket(s3: &S3, prefix: &str, folder: &Path) {
    let to = s3.file(prefix);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        match entry.is_dir() {
            true => put_in_bucket(s3, &format!("{prefix}/{name}"), &entry),
            false => drop(fs::copy(&entry, to.join(name)).unwrap()),
        }
    }
}

fn put_below(hub: &Hub, root: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => put_below(hub, root, &entry),
            false => {
                let name = entry.strip_prefix(root).unwrap().to_str().unwrap();
                hub.put("datasets/tests/images", name, fs::read(&entry).unwrap());
            }
        }
    }
}

#[test]
fn columns_of_csv_are_compared_by_where_and_pass_through_as_text() {
    let web = Web::of("csv", 60);
    let settings =
        ["input.where=width >= 90 and status = 'success'", "input.passthrough=[\"url\", \"status\"]"];
    let (csv, parquet) = (web.job().set(&settings), web.parquet_job().set(&settings));
    csv.run();
    parquet.run();
    assert_same(&parquet, &csv);
    let passed = |job: &Job| -> BTreeMap<String, (Value, Value)> {
        let pairs = Tables::of(job).pairs.into_iter();
        pairs.map(|row| (row["key"].to_string(), (row["url"].clone(), row["status"].clone()))).collect()
    };
    assert!(!passed(&csv).is_empty() && passed(&csv) == passed(&parquet));
    let missing = web.job().set(&["input.passthrough=[\"colour\"]"]);
    let said = stderr(&expect(&mut missing.command("plan"), 2));
    assert!(said.contains("colour"), "{said}");
}

/// Lines of a table, and the status of the row of each.
const HOSTILE: [(&str, &str); 12] = [
    (r#"{"file_name": "good.jpg", "text": "a red circle"}"#, "judged"),
    (r#"{"file_name": "good.jpg", "text": "#, "image_unreadable"),
    (r#"[1, 2]"#, "image_unreadable"),
    (r#"{"text": "no image"}"#, "image_missing"),
    (r#"{"file_name": null, "text": "no image"}"#, "image_missing"),
    (r#"{"file_name": "", "text": "no image"}"#, "image_missing"),
    (r#"{"file_name": "not-there.jpg", "text": "gone"}"#, "image_unreadable"),
    (r#"{"file_name": "../secret.jpg", "text": "climbs"}"#, "image_unreadable"),
    (r#"{"file_name": "/etc/passwd", "text": "absolute"}"#, "image_unreadable"),
    (r#"{"file_name": "http://127.0.0.1:1/x.jpg", "text": "a link"}"#, "image_unreadable"),
    (r#"{"file_name": "empty.jpg", "text": "an empty file"}"#, "image_missing"),
    (r#"{"file_name": "good.jpg", "text": "the last line has no end"}"#, "judged"),
];

#[test]
fn a_bad_record_costs_its_own_row() {
    let web = Web::of("sidecars", 1);
    let good = fs::read(web.input().join("000000800.jpg")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret.jpg"), &good).unwrap();
    let input = folder.path().join("input");
    fs::create_dir(&input).unwrap();
    fs::write(input.join("good.jpg"), &good).unwrap();
    fs::write(input.join("empty.jpg"), "").unwrap();
    let lines: Vec<&str> = HOSTILE.iter().map(|(line, _)| *line).collect();
    // Blank lines have no rows.
    fs::write(input.join("metadata.jsonl"), format!("\u{feff}{}", lines.join("\n\n"))).unwrap();
    let job = Job::over(&input.display().to_string()).set(&[
        "shards.rows=5",
        "limits.failure_budget=1.0",
        "input.text=text",
    ]);
    assert_eq!(plan(&job, 0)["rows"], HOSTILE.len());
    // The rows without a readable image are in the quarantine.
    expect(&mut job.command("run"), 1);
    let mut ledger = Tables::of(&job).ledger;
    ledger.sort_by_key(|row| row["row"].as_u64());
    let found: Vec<&str> = ledger.iter().map(|row| row["status"].as_str().unwrap()).collect();
    let expected: Vec<&str> = HOSTILE.iter().map(|(_, status)| *status).collect();
    assert_eq!(found, expected, "{ledger:#?}");
    assert!(ledger[1]["detail"].as_str().unwrap().contains("the record at byte"), "{}", ledger[1]);
    job.verify(0);
}

#[test]
fn a_file_that_is_no_table_of_records_is_refused_and_costs_no_other() {
    let web = Web::of("imagefolder", 20);
    let files = [
        ("a/metadata.jsonl", "PAR1 not a line of JSON\n".to_owned()),
        ("b/metadata.jsonl", String::new()),
        ("c/metadata.csv", "colour,size\nred,1\n".to_owned()),
        ("d/metadata.csv", String::from_utf8_lossy(b"\xff\xfe,x\n1,2\n").into_owned()),
    ];
    for (name, text) in &files {
        let path = web.input().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let job = web.job();
    let planned = plan(&job, 1);
    let refused: Vec<String> = planned["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(refused, files.map(|(name, _)| name.to_owned()), "{planned}");
    expect(&mut job.command("run"), 1);
    assert_eq!(json_of(job.command_by_url("status").arg("--json"))["rows"]["committed"], 20);
}

#[test]
fn images_of_a_folder_are_kept_by_reference_and_exported() {
    let web = Web::of("sidecars", 40);
    let by_reference = web.job().set(&["output.images=reference"]);
    let embedded = web.job();
    let folder = tempfile::tempdir().unwrap();
    let exported = |job: &Job, name: &str| {
        job.run();
        let to = folder.path().join(name);
        expect(job.command_by_url("export").args(["--format", "parquet"]).arg("--to").arg(&to), 0);
        let mut files: Vec<_> =
            fs::read_dir(to.join("data")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>()
    };
    assert!(exported(&by_reference, "referenced") == exported(&embedded, "embedded"), "the exports differ");
}

#[test]
fn killed_jobs_over_folders_and_tables_lose_no_row_and_double_none() {
    for kind in ["sidecars", "imagefolder"] {
        let web = Web::of(kind, 480);
        let new_job = || web.job().set(&["shards.rows=40"]);
        let undisturbed = new_job();
        let started = Instant::now();
        undisturbed.run();
        let whole_run = started.elapsed().as_secs_f64();
        for seed in kills::seeds() {
            let clock = || started.elapsed().as_secs_f64() / whole_run;
            kills::survives(seed, |_| new_job(), &undisturbed.committed(), 480, clock);
        }
    }
}
