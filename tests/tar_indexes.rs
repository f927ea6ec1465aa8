//! The promise that a plan over tars in a bucket uses the indexes and lists of other programs, and none of
//! another tar.

use crate::{
    support::{Job, expect, python, repo, s3::S3},
    tars::{Web, plan},
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

/// Writes the index of a tar, as the program with this name does.
fn index(program: &str, tar: &Path, to: &Path) {
    let mut command = python("tests/tar_indexes.py");
    expect(command.arg(program).arg(tar).arg(to), 0);
}

fn over(s3: &S3, rows: u32) -> Job {
    let mut job = Job::over(&s3.url("tars")).set(&[&format!("shards.rows={rows}")]);
    job.env = s3.env();
    job
}

#[test]
fn an_index_of_energon_or_dali_cuts_a_tar_as_its_headers_do() {
    let web = Web::of(90, 90);
    let local = web.job().set(&["shards.rows=10"]);
    local.run();
    let s3 = S3::start();
    s3.put_folder("tars", &web.tars());
    let tar = web.tars().join("00000.tar");
    for (program, name) in [("energon", "tars/00000.tar.idx"), ("dali", "tars/00000.idx")] {
        index(program, &tar, &s3.file(name));
        let indexed = over(&s3, 10);
        let planned = plan(&indexed, 0);
        assert_eq!(
            (&planned["rows"], &planned["rows_exact"], &planned["shards"], &planned["warnings"]),
            (&json!(90), &json!(true), &json!(9), &json!([])),
            "{program}"
        );
        indexed.run();
        assert!(indexed.committed() == local.committed(), "{program}: the committed tables differ");
        fs::remove_file(s3.file(name)).unwrap();
    }
}

/// Asserts that the plan reads the headers of the tar of 90 samples.
fn assert_walked(s3: &S3) {
    let planned = plan(&over(s3, 10), 0);
    assert_eq!((&planned["rows"], &planned["shards"]), (&json!(90), &json!(9)));
    assert!(planned["warnings"][0].as_str().unwrap().contains("no usable index"), "{planned}");
}

#[test]
fn an_index_of_another_tar_is_not_used() {
    // The other tar has the same first samples.
    let (web, other) = (Web::of(90, 90), Web::of(85, 85));
    let s3 = S3::start();
    s3.put_folder("tars", &web.tars());
    for (program, name) in [("energon", "tars/00000.tar.idx"), ("dali", "tars/00000.idx")] {
        index(program, &other.tars().join("00000.tar"), &s3.file(name));
        assert_walked(&s3);
        fs::remove_file(s3.file(name)).unwrap();
    }
    let name = s3.file("tars/00000.tar.idx");
    index("energon", &web.tars().join("00000.tar"), &name);
    let mut moved = fs::read(&name).unwrap();
    // The tenth sample begins the second unit; 512 bytes later there is no header.
    let at = u64::from_le_bytes(moved[80..88].try_into().unwrap()) + 512;
    moved[80..88].copy_from_slice(&at.to_le_bytes());
    fs::write(&name, moved).unwrap();
    assert_walked(&s3);
}

#[test]
fn the_shard_list_of_wids_gives_the_rows_of_tars_that_the_plan_does_not_read() {
    let web = Web::of(60, 20);
    let s3 = S3::start();
    s3.put_folder("tars", &web.tars());
    let widsindex = repo().join(".readers/bin/widsindex");
    assert!(
        widsindex.exists(),
        "{} is missing: run `python3 scripts/python.py readers`",
        widsindex.display()
    );
    let list = s3.file("tars/train.json");
    let mut command = Command::new(widsindex);
    command.args(["create", "--output"]).arg(&list).current_dir(web.tars());
    expect(command.args(["00000.tar", "00001.tar", "00002.tar"]), 0);
    let listed = over(&s3, 1000);
    let planned = plan(&listed, 0);
    assert_eq!((&planned["rows"], &planned["rows_exact"]), (&json!(60), &json!(true)), "{planned}");
    listed.run();
    assert_eq!(listed.verify(0)["rows"], 60);
    // A wrong number shows that the plan took it from the list; an entry for another size is not used.
    let mut edited: Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    edited["shardlist"][1]["nsamples"] = json!(21);
    fs::write(&list, edited.to_string()).unwrap();
    assert_eq!(plan(&over(&s3, 1000), 0)["rows"], json!(61));
    edited["shardlist"][1]["filesize"] = json!(5);
    fs::write(&list, edited.to_string()).unwrap();
    let planned = plan(&over(&s3, 1000), 0);
    assert_eq!(planned["rows_exact"], json!(false), "{planned}");
}
