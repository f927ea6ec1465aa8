//! A column of links is cleaned as a column of images, also when links are dead, slow or not allowed.

use crate::support::{
    Job, expect, kills, repo, stderr, stdout,
    tables::{Tables, json_of},
    web::{Body, Reply, Request, Web},
};
use arrow::{
    array::{ArrayRef, AsArray as _, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use capfilt_schemas::hash::sha256_hex as sha256;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Images of the tests' input, by the path of their link.
type Images = HashMap<String, Vec<u8>>;

/// Batches of a file of the tests' input, one per row group.
fn row_groups(file: &str) -> Vec<RecordBatch> {
    let path = repo().join("tests/data/web").join(file);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.with_batch_size(200).build().unwrap().map(Result::unwrap).collect()
}

fn path_of(file: &str, row: usize) -> String {
    format!("/{file}/{row}.jpg")
}

/// The images of files of the tests' input.
fn images(files: &[&str]) -> Images {
    let mut images = Images::new();
    for file in files {
        let groups = row_groups(file);
        let all = groups.iter().flat_map(|batch| batch.column_by_name("jpg").unwrap().as_binary::<i32>());
        let named = all.enumerate().filter_map(|(row, image)| Some((path_of(file, row), image?.to_owned())));
        images.extend(named);
    }
    images
}

/// Writes a file of the tests' input with links in place of images, and with the digests of the images.
fn write_links(file: &str, web: &Web, images: &Images, folder: &Path) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(200)).build();
    let mut writer: Option<ArrowWriter<File>> = None;
    let mut row = 0;
    for batch in row_groups(file) {
        let paths: Vec<_> = (row..row + batch.num_rows()).map(|row| path_of(file, row)).collect();
        row += batch.num_rows();
        let links = paths.iter().map(|path| images.contains_key(path).then(|| web.url(path)));
        let digests = paths.iter().map(|path| images.get(path).map(|image| sha256(image)));
        let at = batch.schema().index_of("jpg").unwrap();
        let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        let mut columns = batch.columns().to_vec();
        fields[at] = Field::new("link", DataType::Utf8, true);
        columns[at] = Arc::new(links.collect::<StringArray>()) as ArrayRef;
        fields.push(Field::new("sha256", DataType::Utf8, true));
        columns.push(Arc::new(digests.collect::<StringArray>()));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let create = || File::create(folder.join(file)).unwrap();
        let new = || ArrowWriter::try_new(create(), batch.schema(), Some(properties.clone())).unwrap();
        writer.get_or_insert_with(new).write(&batch).unwrap();
    }
    writer.unwrap().close().unwrap();
}

/// A server of images.
fn serve(images: Images) -> Web {
    Web::start(move |request| image(&images, request))
}

fn image(images: &Images, request: &Request) -> Reply {
    images.get(&request.path).map_or(Reply::status("404 Not Found"), |image| Reply::ok(image))
}

/// A folder with files of links.
fn input_of(files: &[&str], web: &Web, images: &Images) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|file| write_links(file, web, images, folder.path()));
    folder
}

/// A job over links on loopback.
fn job_over(input: &Path) -> Job {
    let links = ["links.fetch=true", "links.allow_private=[\"127.0.0.1\"]", "links.digest=sha256"];
    Job::over(&input.display().to_string()).set(&links).set(&["input.image=link", "shards.rows=200"])
}

const ONE: &[&str] = &["web-00000.parquet"];

const ALL: &[&str] = &["web-00000.parquet", "web-00001.parquet", "web-00002.parquet"];

/// Rows of a table without the columns that name the image's place.
fn without_place(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("member");
        if let Some(image) = row.get_mut("image").and_then(Value::as_object_mut) {
            image.remove("path");
        }
    }
    rows
}

#[test]
fn links_give_the_rows_of_their_images() {
    let images = images(ALL);
    let web = serve(images.clone());
    let input = input_of(ALL, &web, &images);
    let linked = job_over(input.path());
    linked.run();
    let embedded = Job::over_web().set(&["shards.rows=200"]);
    embedded.run();
    let (linked_tables, tables) = (Tables::of(&linked), Tables::of(&embedded));
    assert_eq!(tables.ledger.len(), 2400);
    assert!(without_place(&linked_tables.ledger) == without_place(&tables.ledger), "the ledgers differ");
    assert!(without_place(&linked_tables.pairs) == without_place(&tables.pairs), "the pairs differ");
    for row in &linked_tables.pairs {
        assert!(row["image"]["path"].as_str().unwrap().starts_with(&web.url("/web-0")), "{row}");
    }
    assert_eq!(linked.verify(0)["rows"], 2400);
    let verify = json_of(linked.command_by_url("verify").args(["--json", "--recompute", "64"]));
    assert_eq!(verify["recomputed"]["equal_rows"], verify["recomputed"]["rows"], "{verify}");
}

#[test]
fn killed_runs_over_links_end_with_the_bytes_of_an_undisturbed_run() {
    let images = images(ONE);
    let web = serve(images.clone());
    let input = input_of(ONE, &web, &images);
    let new_job = || job_over(input.path()).set(&["shards.rows=100"]);
    let undisturbed = new_job();
    undisturbed.run();
    let job = new_job();
    kills::kill_times(&job, 3, 4, 7);
    job.run();
    assert_eq!(job.verify(0)["rows"], 800);
    assert!(job.committed() == undisturbed.committed(), "the committed tables differ");
}

#[test]
fn dead_links_are_rows_and_a_retry_fetches_only_these() {
    retried(&[]);
}

#[test]
fn a_retry_of_links_takes_the_images_of_other_rows_from_a_tar() {
    retried(&["output.format=webdataset"]);
}

/// Runs a job over dead links, and retries it when they are back.
fn retried(settings: &[&str]) {
    let images = images(ONE);
    let is_back = Arc::new(AtomicBool::new(false));
    let (served, back) = (images.clone(), Arc::clone(&is_back));
    // Of 200 rows, 40 are dead, 20 are changed and 10 are not for us: more than any failure budget.
    let web = Web::start(move |request| {
        let name = request.path.trim_end_matches(".jpg").rsplit('/').next().unwrap();
        let row: usize = name.parse().unwrap();
        match row % 20 {
            _ if back.load(Ordering::SeqCst) => image(&served, request),
            0..2 => Reply::status("404 Not Found"),
            2 => Reply::ok(b"<html>for sale</html>").with("Content-Type", "text/html"),
            3 => Reply::status("410 Gone"),
            4 | 5 => Reply::ok(b"\xff\xd8\xff other bytes"),
            6 => image(&served, request).with("X-Robots-Tag", "noai"),
            _ => image(&served, request),
        }
    });
    let input = input_of(ONE, &web, &images);
    let job = job_over(input.path()).set(settings);
    // Dead links are usual: the run has no fault to report.
    job.run();
    let before = Tables::of(&job);
    let count = |status: &str| before.ledger.iter().filter(|row| row["status"] == status).count();
    let expected = [("image_unreachable", 160), ("image_changed", 80), ("image_refused", 40)];
    assert_eq!(expected.map(|(status, _)| (status, count(status))), expected);
    assert_eq!(before.quarantine.len(), 240, "a refused link has nothing to repeat");
    assert_eq!(job.verify(0)["rows"], 800);

    is_back.store(true, Ordering::SeqCst);
    let asked = web.seen().len();
    expect(job.command_by_url("retry").args(["--only", "image_unreachable"]), 0);
    assert_eq!(web.seen().len() - asked, 160, "only these links are fetched");
    let after = Tables::of(&job);
    for (row, (before, after)) in before.ledger.iter().zip(&after.ledger).enumerate() {
        if before["status"] == "image_unreachable" {
            assert_eq!(after["status"], "judged", "row {row}");
        } else {
            assert_eq!(before, after, "row {row}");
        }
    }
    // The images of the other pairs are those of the first run.
    let digest_of = |row: &Value| sha256(&images[&path_of(ONE[0], row["row"].as_u64().unwrap() as usize)]);
    assert!(after.pairs.len() > before.pairs.len());
    assert!(after.pairs.iter().all(|row| !row["image"]["bytes"].is_null()));
    let judged = after.ledger.iter().filter(|row| row["status"] == "judged");
    judged.for_each(|row| assert_eq!(row["image_sha256"], digest_of(row)));
    assert_eq!(job.verify(0)["rows"], 800);
}

#[test]
fn a_network_that_is_away_stops_the_job_and_its_return_lets_it_continue() {
    let images = images(ONE);
    let web = serve(images.clone());
    let port = web.address.port();
    let input = input_of(ONE, &web, &images);
    drop(web);
    let job = job_over(input.path()).set(&["workers.outage_seconds=2", "links.retries=0"]);
    let began = Instant::now();
    let stopped = stderr(&expect(&mut job.command("run"), 3));
    assert!(stopped.contains("check network and name servers of this machine"), "{stopped}");
    assert!(!job.objects.join("commits").exists(), "there are commits");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    let _web = Web::on(port, move |request| image(&images, request));
    job.run();
    assert_eq!(job.verify(0)["rows"], 800);
    let tables = Tables::of(&job);
    assert!(tables.ledger.iter().all(|row| row["status"] != "image_unreachable"));
}

#[test]
fn links_on_loopback_are_not_fetched_unless_they_are_allowed() {
    let images = images(ONE);
    let web = serve(images.clone());
    let input = input_of(ONE, &web, &images);
    let job = job_over(input.path()).set(&["links.allow_private=false"]);
    job.run();
    let tables = Tables::of(&job);
    assert!(tables.ledger.iter().all(|row| row["status"] == "image_refused"), "{}", tables.ledger[0]);
    assert!(tables.ledger[0]["detail"].as_str().unwrap().contains("links.allow_private"));
    assert!(web.seen().is_empty());
    // And without links.fetch, a link is an image that cannot be read.
    let job = job_over(input.path()).set(&["links.fetch=false"]);
    let stopped = stderr(&expect(&mut job.command("run"), 3));
    assert!(stopped.contains("image_unreadable"), "{stopped}");
}

#[test]
fn pairs_can_keep_links_in_place_of_images() {
    let images = images(ONE);
    let web = serve(images.clone());
    let input = input_of(ONE, &web, &images);
    let job = job_over(input.path()).set(&["output.images=reference"]);
    job.run();
    let tables = Tables::of(&job);
    assert!(!tables.pairs.is_empty());
    for row in &tables.pairs {
        assert!(row["image"]["bytes"].is_null());
        assert!(images.contains_key(row["image"]["path"].as_str().unwrap().trim_start_matches(&web.url(""))));
    }
    assert_eq!(job.verify(0)["rows"], 800);
    let to: PathBuf = job.folder.path().join("export");
    let mut export = crate::support::capfilt();
    export.args(["export", "--job", &job.url, "--format", "webdataset", "--to"]).arg(&to);
    let refused = stderr(&expect(&mut export, 2));
    assert!(refused.contains("output.images"), "{refused}");
}

#[test]
fn slow_links_do_not_keep_the_other_links_waiting() {
    let images = images(ONE);
    let served = images.clone();
    // Every fiftieth link takes its time: three seconds, in which all others are fetched.
    let web = Web::start(move |request| match request.path.ends_with("49.jpg") {
        true => Reply::ok(b"").body(Body::Silence),
        false => image(&served, request),
    });
    let input = input_of(ONE, &web, &images);
    let slow = ["links.connect_seconds=1", "links.idle_seconds=1", "links.retries=0", "links.per_host=64"];
    let job = job_over(input.path()).set(&slow);
    job.run();
    let tables = Tables::of(&job);
    let dead = tables.ledger.iter().filter(|row| row["status"] == "image_unreachable").count();
    assert_eq!((dead, tables.ledger.len()), (8, 800));
    let shown = stdout(&expect(&mut job.command_by_url("status"), 0));
    assert!(shown.contains("image_unreachable"), "{shown}");
}
