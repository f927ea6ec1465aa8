//! `capfilt verify` over a job in a bucket whose objects are damaged.

use crate::{
    s3::{bucket, job, read, write},
    support::Job,
};
use arrow::{array::UInt64Array, compute::take_record_batch};
use std::path::{Path, PathBuf};

fn outputs(commit: &serde_json::Value) -> &Vec<serde_json::Value> {
    commit["outputs"].as_array().unwrap()
}

#[test]
fn verify_finds_a_deleted_object_a_flipped_byte_a_doubled_commit_and_a_missing_row() {
    let s3 = bucket();
    let job = job(&s3, "damaged");
    job.run();
    let shard = std::fs::read_dir(job.objects.join("commits")).unwrap().next().unwrap().unwrap().path();
    let commit = shard.join("0.json");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(&commit).unwrap()).unwrap();
    let name = |table: &str| {
        let output = outputs(&record).iter().find(|output| output["table"] == table).unwrap();
        output["path"].as_str().unwrap().to_owned()
    };
    let (ledger, pairs) = (name("ledger"), name("pairs"));
    let doubled = shard.join("1.json");
    let doubled_name = doubled.strip_prefix(&job.objects).unwrap().display().to_string();

    let whole = Whole::of(&[job.objects.join(&ledger), job.objects.join(&pairs), commit.clone()]);
    std::fs::remove_file(job.objects.join(&pairs)).unwrap();
    assert_found(&job, &pairs, "the object is gone");
    whole.restore(&job);

    flip_a_byte(&job.objects.join(&pairs));
    assert_found(&job, &pairs, "the object's bytes changed");
    whole.restore(&job);

    std::fs::copy(&commit, &doubled).unwrap();
    assert_found(&job, &doubled_name, "doubled commit");
    std::fs::remove_file(&doubled).unwrap();
    whole.restore(&job);

    // The commit agrees with its new ledger in all but the rows themselves.
    rewrite(&job, &commit, &record, &ledger, |rows| rows.filter(|row| *row != 7).collect());
    assert_found(&job, &ledger, "a row is missing or doubled");
    whole.restore(&job);
    rewrite(&job, &commit, &record, &ledger, |rows| rows.map(|row| if row == 7 { 8 } else { row }).collect());
    assert_found(&job, &ledger, "a row is missing or doubled");
    whole.restore(&job);
}

/// Files as they were, to be put back.
struct Whole(Vec<(PathBuf, Vec<u8>)>);

impl Whole {
    fn of(paths: &[PathBuf]) -> Self {
        Self(paths.iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect())
    }

    /// Puts them back, and so the job in order.
    fn restore(&self, job: &Job) {
        self.0.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        job.verify(0);
    }
}

fn assert_found(job: &Job, object: &str, what: &str) {
    let found = job.verify(1);
    let problems = found["problems"].as_array().unwrap();
    let is_it = |problem: &serde_json::Value| {
        problem["object"].as_str().unwrap().contains(object)
            && problem["what"].as_str().unwrap().contains(what)
    };
    assert!(problems.iter().any(is_it), "no problem of {object} says `{what}`: {found}");
}

fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Rewrites a ledger with some of its rows, and updates its length and digest in the commit.
fn rewrite(
    job: &Job,
    commit: &Path,
    record: &serde_json::Value,
    ledger: &str,
    choose: impl Fn(&mut dyn Iterator<Item = u64>) -> Vec<u64>,
) {
    let path = job.objects.join(ledger);
    let all = read(&path);
    let chosen = UInt64Array::from(choose(&mut (0..all.num_rows() as u64)));
    let bytes = write(&path, &take_record_batch(&all, &chosen).unwrap(), 10_000);
    let mut record = record.clone();
    for output in record["outputs"].as_array_mut().unwrap() {
        if output["path"] == ledger {
            output["bytes"] = bytes.into();
            output["sha256"] = capfilt_schemas::hash::sha256_hex(&std::fs::read(&path).unwrap()).into();
        }
    }
    std::fs::write(commit, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
}
