//! The promise that a tar gives the results of the same pairs in Parquet, wherever it lies, and that a bad
//! tar costs itself. `tars.py` writes usual tars with webdataset's own ShardWriter, and hostile ones.

use crate::support::{
    Job, expect, kills, python, repo,
    s3::S3,
    small::first_rows,
    stderr, stdout,
    tables::{Tables, assert_judged_alike, json_of},
    web::{self as server, Reply, Request},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// The Python that `scripts/python.py readers` provides.
fn webdataset() -> Command {
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut command = Command::new(python);
    command.arg(repo().join("tests/tars.py"));
    command
}

/// Some rows of `tests/data/web` as Parquet and as tars of ShardWriter.
pub struct Web {
    folder: tempfile::TempDir,
}

impl Web {
    pub fn of(rows: usize, rows_per_tar: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("web.parquet");
        first_rows("web-00000.parquet", rows, rows_per_tar, &table);
        let mut write = webdataset();
        write.arg("write").arg(&table).arg(folder.path().join("tars")).arg(rows_per_tar.to_string());
        expect(&mut write, 0);
        Self { folder }
    }

    fn table(&self) -> String {
        self.folder.path().join("web.parquet").display().to_string()
    }

    pub fn tars(&self) -> PathBuf {
        self.folder.path().join("tars")
    }

    pub fn job(&self) -> Job {
        Job::over(&self.tars().display().to_string())
    }
}

pub fn by_key(job: &Job) -> BTreeMap<String, Value> {
    let ledger = Tables::of(job).ledger.into_iter();
    ledger.map(|row| (row["key"].as_str().unwrap().to_owned(), row)).collect()
}

pub fn assert_same(expected: &BTreeMap<String, Value>, job: &Job) {
    let found = by_key(job);
    assert!(found.keys().eq(expected.keys()), "other rows");
    found.iter().for_each(|(key, row)| assert_judged_alike(&expected[key], row, key));
}

/// A plan, as JSON.
pub fn plan(job: &Job, code: i32) -> Value {
    serde_json::from_str(&stdout(&expect(job.command("plan").arg("--json"), code))).unwrap()
}

#[test]
fn a_tar_gives_the_texts_scores_and_verdicts_of_the_same_pairs_in_parquet() {
    let web = Web::of(120, 60);
    let parquet = Job::over(&web.table());
    parquet.run();
    let expected = by_key(&parquet);
    let tars = web.job().set(&["shards.rows=25"]);
    let planned = plan(&tars, 0);
    assert_eq!((&planned["rows"], &planned["rows_exact"]), (&json!(120), &json!(true)));
    assert_eq!(planned["shards"], 6, "two tars of 25, 25 and 10 samples");
    tars.run();
    assert_same(&expected, &tars);
    assert_eq!(tars.verify(0)["rows"], 120);
    let one_shard_a_tar = web.job().set(&["shards.rows=1000", "input.text=json[caption]"]);
    one_shard_a_tar.run();
    assert_same(&expected, &one_shard_a_tar);
}

#[test]
fn a_compressed_tar_gives_the_same_and_its_rows_are_about_so_many_until_they_are_read() {
    let web = Web::of(80, 80);
    let expected = web.job();
    expected.run();
    let compressed = tempfile::tempdir().unwrap();
    let packed = File::create(compressed.path().join("00000.tar.gz")).unwrap();
    let mut gzip = Command::new("gzip");
    gzip.arg("-c").arg(web.tars().join("00000.tar")).stdout(packed);
    assert!(gzip.status().unwrap().success());
    let job = Job::over(&compressed.path().display().to_string());
    let planned = plan(&job, 0);
    assert_eq!((&planned["shards"], &planned["rows_exact"]), (&json!(1), &json!(false)));
    assert!((40..160).contains(&planned["rows"].as_u64().unwrap()), "{planned}");
    let people = stdout(&expect(&mut job.command("plan"), 0));
    assert!(people.contains("rows    about "), "{people}");
    expect(job.command("run").arg("--plan-only"), 0);
    let status = || stdout(&expect(&mut job.command_by_url("status"), 0));
    assert!(status().contains("0 of about "), "{}", status());
    let run = job.run();
    assert!(stderr(&run).contains("about "), "{}", stderr(&run));
    assert!(status().contains("80 of 80 committed"), "{}", status());
    assert_same(&by_key(&expected), &job);
    assert_eq!(job.verify(0)["rows"], 80);
}

#[test]
fn a_tar_in_a_bucket_gives_the_same_and_a_large_one_is_cut_by_its_headers() {
    let web = Web::of(90, 90);
    let local = web.job().set(&["shards.rows=10"]);
    local.run();
    let expected = by_key(&local);
    let s3 = S3::start();
    s3.put_folder("tars", &web.tars());
    let over = |settings: &[&str]| {
        let mut job = Job::over(&s3.url("tars")).set(settings);
        job.env = s3.env();
        job
    };
    let whole = over(&["shards.rows=1000"]);
    whole.run();
    assert_same(&expected, &whole);
    let walked = over(&["shards.rows=10"]);
    let planned = plan(&walked, 0);
    assert_eq!(
        (&planned["rows"], &planned["rows_exact"], &planned["shards"]),
        (&json!(90), &json!(true), &json!(9))
    );
    assert!(planned["warnings"][0].as_str().unwrap().contains("requests"), "{planned}");
    walked.run();
    assert_same(&expected, &walked);
    assert!(walked.committed() == local.committed(), "the committed tables differ");
}

#[test]
fn a_run_over_tars_that_finds_no_image_says_which_setting_to_look_at() {
    let web = Web::of(20, 20);
    let job = web.job().set(&["input.image=img"]);
    let said = stdout(&job.run());
    assert!(said.contains("no image was judged: 20 image_missing; is input.image"), "{said}");
}

#[test]
fn braces_name_tars_and_a_missing_one_is_reported() {
    let web = Web::of(60, 20);
    let pattern = |braces: &str| format!("{}/{braces}.tar", web.tars().display());
    let all = Job::over(&pattern("{00000..00002}"));
    assert_eq!((plan(&all, 0)["files"].as_u64(), plan(&all, 0)["rows"].as_u64()), (Some(3), Some(60)));
    let some = Job::over(&pattern("{00000,00002}"));
    some.run();
    assert_eq!(some.verify(0)["rows"], 40);
    let too_many = plan(&Job::over(&pattern("{00001..00004}")), 1);
    assert_eq!((&too_many["files"], &too_many["rows"]), (&json!(4), &json!(40)));
    assert!(too_many["refused"][0]["reason"].as_str().unwrap().contains("not there"), "{too_many}");
    let none = expect(&mut Job::over(&pattern("{7..9}")).command("plan"), 2);
    assert!(stderr(&none).contains("there is no input file"), "{}", stderr(&none));
}

#[test]
fn the_parquet_file_beside_a_tar_is_not_read_as_input_and_tells_which_rows_are_missing() {
    let web = Web::of(20, 20);
    std::fs::copy(web.table(), web.tars().join("00000.parquet")).unwrap();
    let planned = plan(&web.job(), 0);
    assert_eq!(planned["warnings"], json!([]));
    assert_eq!(
        (&planned["files"], &planned["rows"], &planned["refused"]),
        (&json!(1), &json!(20), &json!([]))
    );
    first_rows("web-00000.parquet", 33, 33, &web.tars().join("00000.parquet"));
    let said = plan(&web.job(), 0)["warnings"].to_string();
    assert!(said.contains("20 of the 33 rows of 00000.parquet are in the tar"), "{said}");
}

#[test]
fn samples_are_those_that_webdataset_reads() {
    let folder = tempfile::tempdir().unwrap();
    hostile(&folder.path().join("tars"));
    let names =
        ["files-between.tar", "long-names-gnu.tar", "odd-names.tar", "upper-case.tar", "key-comes-back.tar"];
    for name in names {
        let tar = folder.path().join("tars").join(name);
        let job = Job::over(&tar.display().to_string());
        job.run();
        let read = json_of(webdataset().arg("samples").arg(&tar));
        let expected: Vec<&Value> = read.as_array().unwrap().iter().map(|sample| &sample[0]).collect();
        let ledger = Tables::of(&job).ledger;
        assert_eq!(ledger.iter().map(|row| &row["key"]).collect::<Vec<_>>(), expected, "{name}");
    }
}

/// Writes hostile tars; returns the expected rows of each.
fn hostile(to: &Path) -> Value {
    let mut write = python("tests/tars.py");
    write.arg("hostile").arg(repo().join("tests/data/web/web-00000.parquet")).arg(to);
    json_of(&mut write)
}

#[test]
fn a_hostile_tar_costs_its_own_rows_on_disk_and_in_a_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let tars = folder.path().join("tars");
    let expected = hostile(&tars);
    let s3 = S3::start();
    s3.put_folder("tars", &tars);
    let settings = ["limits.image_bytes=2000000", "shards.rows=7", "limits.failure_budget=1.0"];
    let local = Job::over(&tars.display().to_string()).set(&settings);
    let mut remote = Job::over(&s3.url("tars")).set(&settings);
    remote.env = s3.env();
    for job in [&local, &remote] {
        expect(&mut job.command("run"), 1);
        assert_expected(job, &expected);
        job.verify(0);
    }
}

fn assert_expected(job: &Job, expected: &Value) {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut ledger = Tables::of(job).ledger;
    ledger.sort_by_key(|row| (row["file"].to_string(), row["row"].as_u64()));
    for row in ledger {
        let rows = found.entry(row["file"].as_str().unwrap().to_owned()).or_default();
        assert_eq!(row["row"], rows.len(), "{row}");
        rows.push(json!([row["key"], row["status"]]));
    }
    let status = json_of(job.command_by_url("status").arg("--json"));
    let refused: Vec<&str> =
        status["refused"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(status["shards"]["quarantined"], 0, "{status}");
    for (name, rows) in expected.as_object().unwrap() {
        let found = found.get(name).cloned().unwrap_or_default();
        match rows {
            Value::Null => assert!(!found.is_empty(), "{name}"),
            Value::Array(rows) => assert_eq!(&found, rows, "{name}"),
            _ => assert!(refused.contains(&name.as_str()) && found.is_empty(), "{name}: {found:?}"),
        }
        assert_eq!(refused.contains(&name.as_str()), rows == "refused", "{name}: {status}");
    }
}

#[test]
fn killed_jobs_over_tars_lose_no_row_and_double_none() {
    let web = Web::of(480, 160);
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

#[test]
fn keys_of_json_are_compared_by_where_and_pass_through_as_text() {
    let web = Web::of(60, 30);
    let settings =
        ["input.where=width >= 90 and status = 'success'", "input.passthrough=[\"url\", \"status\"]"];
    let (tars, parquet) = (web.job().set(&settings), Job::over(&web.table()).set(&settings));
    tars.run();
    parquet.run();
    assert_same(&by_key(&parquet), &tars);
    let passed = |job: &Job| -> BTreeMap<String, (String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = Tables::of(job).pairs.into_iter();
        pairs.map(|row| (text(&row["key"]), (text(&row["url"]), text(&row["status"])))).collect()
    };
    assert_eq!(passed(&tars), passed(&parquet));
}

#[test]
fn images_that_the_json_of_a_tar_links_to_are_fetched_and_compared_with_their_digests() {
    let web = Web::of(40, 20);
    let expected = web.job();
    expected.run();
    let (images, tars) = (web.folder.path().join("images"), web.folder.path().join("linked"));
    let folder = images.clone();
    let served = server::Web::start(move |request: &Request| {
        let image = std::fs::read(folder.join(request.path.trim_start_matches('/')));
        image.map_or(Reply::status("404 Not Found"), |image| Reply::ok(&image))
    });
    let mut write = python("tests/tars.py");
    write.arg("linked").arg(web.tars()).arg(&tars).arg(&images).arg(served.url(""));
    expect(&mut write, 0);
    let linked = Job::over(&tars.display().to_string()).set(&[
        "links.fetch=true",
        "links.allow_private=[\"127.0.0.1\"]",
        "links.digest=sha256",
        "input.image=json[link]",
    ]);
    linked.run();
    assert_same(&by_key(&expected), &linked);
    assert_eq!(linked.verify(0)["rows"], 40);
}
