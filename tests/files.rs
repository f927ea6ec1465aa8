//! `capfilt files`: what it lists is what counts, as the tools for Parquet read it with README's own lines.

use crate::support::{Job, expect, kills, repo, small::first_rows, stderr, stdout, tables::json_of};
use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command};

/// Rows in each table of a finished job by all four tools, with the lines of README.md; `pairs` there is any
/// table here.
fn counted_by_readme_s_lines(job: &Job, table: &str) -> Value {
    let readme = fs::read_to_string(repo().join("README.md")).unwrap();
    let block =
        readme.split("```python\n").find(|block| block.contains("\"files\"")).expect("README shows `files`");
    let lines = block.split("```").next().unwrap().replace("\"pairs\"]", &format!("\"{table}\"]"));
    let program = env!("CARGO_BIN_EXE_capfilt");
    let script = format!(
        r#"
import json, os, subprocess, tempfile
scratch = tempfile.TemporaryDirectory()
path = os.path.dirname({program:?}) + ":" + os.environ["PATH"]
os.environ.update(HF_HUB_OFFLINE="1", HF_HOME=scratch.name, PATH=path)
import datasets, duckdb, polars, pyarrow.dataset
datasets.disable_progress_bars()
job = {job:?}
first, *others = [line for line in {lines:?}.splitlines() if line.strip()]
exec(first)
made = [eval(line) for line in others]
counts = [len(made[0]), made[1].height, made[2].num_rows, made[3]["train"].num_rows]
print(json.dumps(dict(zip([line.split(".")[0] for line in others], counts))))
"#,
        job = job.url
    );
    let mut python = Command::new(repo().join(".venv/bin/python"));
    json_of(python.args(["-c", &script]))
}

fn assert_all_count(job: &Job, table: &str, rows: &Value) {
    let counts = counted_by_readme_s_lines(job, table);
    let counts = counts.as_object().unwrap();
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["datasets", "duckdb", "polars", "pyarrow"]);
    assert!(counts.values().all(|count| count == rows), "{table}: {counts:?}, expected {rows}");
}

fn files(job: &Job, arguments: &[&str]) -> Vec<String> {
    let output = expect(job.command_by_url("files").args(arguments), 0);
    stdout(&output).lines().map(str::to_owned).collect()
}

fn manifest(job: &Job, n: u32) -> Value {
    serde_json::from_slice(&fs::read(job.objects.join(format!("manifests/{n}.json"))).unwrap()).unwrap()
}

/// A job over 400 rows in shards of 20, with three workers.
fn of_three_workers() -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    first_rows("web-00000.parquet", 400, 20, &web.join("a.parquet"));
    let url = format!("input.url={}", web.display());
    job.set(&[&url, "shards.rows=20", "workers.devices=[\"cpu\", \"cpu\", \"cpu\"]"])
}

#[test]
fn of_a_job_killed_six_times_with_three_workers_the_files_hold_each_row_once_by_four_readers() {
    let job = of_three_workers();
    kills::kill_times(&job, 6, 20, 7);
    job.run();
    let verified = job.verify(0);
    let left = fs::read_dir(job.objects.join("attempts")).unwrap();
    let attempts = left.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum::<usize>();
    println!("{attempts} attempts at 20 shards");
    assert_all_count(&job, "ledger", &verified["rows"]);
    assert_all_count(&job, "pairs", &manifest(&job, 0)["tally"]["pairs"]);
}

#[test]
fn of_a_retried_job_the_files_are_those_of_the_manifest_that_is_asked_for() {
    let job = of_three_workers().set(&["limits.image_bytes=1500", "limits.failure_budget=1"]);
    expect(&mut job.command("run"), 1);
    let before = files(&job, &["--table", "ledger"]);
    let quarantined = manifest(&job, 0)["tally"]["rows"]["image_too_large"].clone();
    assert!(quarantined.as_u64().unwrap() > 0);
    assert_all_count(&job, "quarantine", &quarantined);
    expect(job.command_by_url("retry").args(["-s", "limits.image_bytes=50 MiB"]), 0);
    let verified = job.verify(0);
    assert_all_count(&job, "ledger", &verified["rows"]);
    assert_all_count(&job, "pairs", &manifest(&job, 1)["tally"]["pairs"]);
    assert_ne!(files(&job, &["--table", "ledger"]), before);
    assert_eq!(files(&job, &["--table", "ledger", "--manifest", "0"]), before);
    let found: Value = json_of(job.command_by_url("files").args(["--table", "quarantine", "--json"]));
    assert_eq!((&found["manifest"], &found["rows"]), (&1.into(), &0.into()));
    let refused =
        stderr(&expect(job.command_by_url("files").args(["--table", "pairs", "--manifest", "7"]), 2));
    assert!(refused.contains("no manifest 7; it has 0, 1"), "{refused}");
}

#[test]
fn before_a_manifest_the_files_are_those_of_what_is_committed_and_the_command_says_so() {
    let job = of_three_workers();
    job.run();
    let all: BTreeSet<String> = files(&job, &["--table", "pairs"]).into_iter().collect();
    fs::remove_dir_all(job.objects.join("manifests")).unwrap();
    let shard = fs::read_dir(job.objects.join("commits")).unwrap().next().unwrap().unwrap().path();
    fs::remove_dir_all(&shard).unwrap();
    let output = expect(job.command_by_url("files").args(["--table", "pairs"]), 0);
    assert!(
        stderr(&output).contains("no manifest yet: these are the objects of the 19 of 20 shards"),
        "{output:?}"
    );
    let listed: BTreeSet<String> = stdout(&output).lines().map(str::to_owned).collect();
    let id = shard.file_name().unwrap().to_str().unwrap();
    let expected: BTreeSet<String> = all.into_iter().filter(|path| !path.contains(id)).collect();
    assert_eq!(listed, expected);
}
