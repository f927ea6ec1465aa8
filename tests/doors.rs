//! The same pairs give the same verdicts through every kind of input. `doors.py` writes the inputs; tars are
//! also made by img2dataset itself, from a server on loopback.

use crate::support::{
    Job, expect, repo,
    tables::{Tables, assert_judged_alike},
    web::{Reply, Web},
};
use arrow::array::AsArray as _;
use capfilt_store_testing::hub::Hub;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A file of the demo's pairs: 800 rows, in each of the jobs of this test.
fn tables() -> Vec<PathBuf> {
    vec![repo().join("demo/web/web-00000.parquet")]
}

/// An input of a kind that `doors.py` writes; `arguments` come before the tables.
pub fn write(kind: &str, to: &Path, arguments: &[&str], tables: &[PathBuf]) {
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut command = Command::new(python);
    command.arg(repo().join("tests/doors.py")).arg(kind).arg(to).args(arguments).args(tables);
    expect(&mut command, 0);
}

/// A job with the demo's models, which judges pairs only: captions would take most of the time.
fn job(input: &str, settings: &[&str]) -> Job {
    let model = format!("models.filter=\"{}\"", repo().join("demo/models/filter").display());
    Job::over(input).set(&["captioner.captions=0", "shards.rows=200", &model]).set(settings)
}

fn judged(job: &Job) -> BTreeMap<String, Value> {
    job.run();
    assert_eq!(job.verify(0)["rows"], 800);
    let ledger = Tables::of(job).ledger.into_iter();
    let rows: BTreeMap<_, _> = ledger
        .map(|row| (row["key"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), row))
        .collect();
    assert_eq!(rows.len(), 800, "keys are equal");
    rows
}

/// A server of the images by their keys.
fn serve() -> Web {
    let mut images = HashMap::new();
    for table in tables() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(table).unwrap()).unwrap();
        for batch in reader.build().unwrap().map(Result::unwrap) {
            let column = |name: &str| batch.column_by_name(name).unwrap().clone();
            let (keys, bytes) = (column("key"), column("jpg"));
            let rows = keys.as_string::<i32>().iter().zip(bytes.as_binary::<i32>().iter());
            images
                .extend(rows.map(|(key, image)| (format!("/{}.jpg", key.unwrap()), image.unwrap().to_vec())));
        }
    }
    Web::start(move |request| {
        images.get(&request.path).map_or(Reply::status("404 Not Found"), |image| Reply::ok(image))
    })
}

/// Runs img2dataset over a list of links; its tars keep the fetched bytes.
fn img2dataset(links: &Path, out: &Path) {
    let python = repo().join(".img2dataset/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py img2dataset`", python.display());
    let mut command = Command::new(python);
    command.args(["-m", "img2dataset.main", "--input_format", "parquet", "--url_col", "url"]);
    command.args(["--caption_col", "caption", "--save_additional_columns", "[\"id\"]"]);
    command.args([
        "--output_format",
        "webdataset",
        "--resize_mode",
        "no",
        "--disable_all_reencoding",
        "True",
    ]);
    command.args(["--enable_wandb", "False", "--number_sample_per_shard", "300", "--processes_count", "1"]);
    command.arg("--url_list").arg(links).arg("--output_folder").arg(out);
    expect(command.env("NO_ALBUMENTATIONS_UPDATE", "1").stdin(Stdio::null()), 0);
}

/// A job over the tables in a repository of the Hub.
fn over_the_hub(hub: &Hub, cache: &Path) -> Job {
    for table in tables() {
        let name = table.file_name().unwrap().to_str().unwrap().to_owned();
        hub.put("datasets/tests/web", &format!("data/{name}"), std::fs::read(&table).unwrap());
    }
    hub.commit("datasets/tests/web", "main");
    let mut job = job("hf://datasets/tests/web/data", &[]);
    let cache = cache.display().to_string();
    let variables = [("HF_ENDPOINT", hub.endpoint()), ("CAPFILT_CACHE", &cache), ("NO_PROXY", "127.0.0.1")];
    job.env = variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    job
}

#[test]
fn the_demo_pairs_have_equal_scores_and_verdicts_through_every_door() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let over = |name: &str, settings: &[&str]| judged(&job(&at(name).display().to_string(), settings));
    let expected = judged(&job(&tables()[0].display().to_string(), &[]));
    let assert_same = |found: BTreeMap<String, Value>, door: &str| {
        println!("{door}: {} rows", found.len());
        for (key, row) in &expected {
            assert_judged_alike(row, &found[key], &format!("{door}, {key}"));
        }
    };
    for kind in ["tars", "imagefolder", "csv", "sidecars"] {
        write(kind, &at(kind), &[], &tables());
        assert_same(over(kind, &[]), kind);
    }
    write("parquet", &at("parquet"), &[], &tables());
    assert_same(over("parquet", &["input.image=file_name", "input.text=text"]), "metadata.parquet");

    let web = serve();
    write("links", &at("links"), &[&web.url("")], &tables());
    let links = ["links.fetch=true", "links.allow_private=[\"127.0.0.1\"]", "input.image=url"];
    assert_same(over("links", &links), "links");
    img2dataset(&at("links/links.parquet"), &at("img2dataset"));
    assert_same(over("img2dataset", &["input.key=json[id]"]), "img2dataset");

    let hub = Hub::start();
    assert_same(judged(&over_the_hub(&hub, &at("cache"))), "the Hub");
}
