//! Jobs and exports that an earlier version of capfilt wrote are verified, resumed, retried and exported by
//! this one.
//!
//! `tests/data/compat` was written by version 0.1.0 of 29 November 2026 (commit cc87113) over an S3 server: a
//! job over 36 rows in three shards, one row without an image and one whose image cannot be decoded, and its
//! export.

use crate::{
    s3,
    support::{Job, capfilt, expect, repo, s3::S3, stderr, stdout, tables::json_of},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rows of the input.
const ROWS: u64 = 36;

/// The earlier version's job in a bucket, with its input and its models.
fn earlier_job(s3: &S3) -> Job {
    s3.put("web/a.parquet", &repo().join("tests/data/compat/web.parquet"));
    s3::put_models(s3);
    copy_all(&repo().join("tests/data/compat/job"), &s3.file("jobs/done"));
    s3::job(s3, "done").set(&["shards.rows=12", "limits.failure_budget=0.5"])
}

/// Runs the job to its end. Exit code 1: one row is in quarantine.
fn run(job: &Job) {
    expect(&mut job.command("run"), 1);
}

/// Copies a folder with everything below it.
pub fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn status(job: &Job) -> Value {
    serde_json::from_str(&stdout(&expect(job.command_by_url("status").arg("--json"), 0))).unwrap()
}

#[test]
fn a_finished_job_of_an_earlier_version_is_verified_counted_and_left_alone() {
    let s3 = S3::start();
    let job = earlier_job(&s3);
    assert_eq!(job.verify(0)["rows"], ROWS);
    let counts = status(&job);
    assert_eq!((&counts["done"], &counts["rows"]["committed"]), (&true.into(), &ROWS.into()), "{counts}");
    let pairs = stdout(&expect(job.command_by_url("files").args(["--table", "pairs"]), 0));
    assert_eq!(pairs.lines().count(), 3, "{pairs}");
    run(&job);
    assert!(!s3.file("jobs/done/manifests/1.json").exists(), "the newest manifest describes the job");
}

/// Removes all commits of the earlier version but one, whose path is returned, and the manifest.
fn keep_one_commit(s3: &S3) -> PathBuf {
    fs::remove_dir_all(s3.file("jobs/done/manifests")).unwrap();
    let mut commits = fs::read_dir(s3.file("jobs/done/commits")).unwrap().map(|shard| shard.unwrap().path());
    let kept = commits.next().unwrap().join("0.json");
    commits.for_each(|shard| fs::remove_dir_all(shard).unwrap());
    kept
}

#[test]
fn a_killed_job_of_an_earlier_version_is_resumed() {
    let s3 = S3::start();
    let job = earlier_job(&s3);
    let kept = keep_one_commit(&s3);
    let before = fs::read(&kept).unwrap();
    run(&job);
    assert_eq!(job.verify(0)["rows"], ROWS);
    assert_eq!(fs::read(&kept).unwrap(), before, "a commit is never replaced");
}

#[test]
fn a_job_with_tables_of_both_versions_is_judged_again_and_exported() {
    let s3 = S3::start();
    let job = earlier_job(&s3);
    keep_one_commit(&s3);
    run(&job);
    let tally = &status(&job)["kept"];
    let kept = |source: &str| tally["texts"][source]["kept"].as_u64().unwrap();
    assert!(kept("web") > 0 && kept("caption") > 0, "files of both versions: {tally}");
    let mut verify = job.command_by_url("verify");
    let again = json_of(verify.args(["--json", "--recompute", "36", "--device", "cpu"]));
    assert_eq!(again["recomputed"]["other_rows"], 0, "{again}");
    let folder = tempfile::tempdir().unwrap();
    let mut export = capfilt();
    export.args(["export", "--json", "--job", &job.url, "--format", "parquet", "--to"]);
    let made = json_of(export.arg(folder.path().join("export")).envs(job.env.clone()));
    let counts = &made["counts"];
    let all: u64 = ["web", "caption", "synthetic"].map(kept).iter().sum();
    assert_eq!(counts["read"], all, "{counts}");
    assert_eq!((&counts["unusable"], &counts["bad_images"]), (&0.into(), &0.into()), "{counts}");
}

#[test]
fn quarantined_rows_of_an_earlier_version_s_job_are_retried() {
    let s3 = S3::start();
    let job = earlier_job(&s3);
    let shown = stderr(&expect(&mut job.command_by_url("retry"), 1));
    assert!(shown.contains("1 rows with status image_unsupported"), "{shown}");
    assert_eq!(job.verify(0)["rows"], ROWS);
    assert!(
        s3.file("jobs/done/manifests/1.json").exists(),
        "the repaired shard is a new version of the data set"
    );
}

#[test]
fn an_export_of_an_earlier_version_is_found_to_be_finished() {
    let s3 = S3::start();
    let job = earlier_job(&s3);
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("export");
    copy_all(&repo().join("tests/data/compat/export"), &export);
    let mut again = capfilt();
    again
        .args(["export", "--job", &job.url, "--format", "webdataset", "--to"])
        .arg(&export)
        .envs(job.env.clone());
    let said = stderr(&expect(&mut again, 0));
    assert!(said.contains("finished"), "{said}");
}
