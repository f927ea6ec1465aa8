//! Quarantined rows can be retried: a row that ends its process is found and left out, `retry` processes it
//! again, and `gc` removes unneeded objects.

use crate::support::{
    Job, expect, stderr, stdout,
    tables::{Tables, assert_judged_alike, json_of},
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

/// Two shards of 200 rows of one file.
fn small_job() -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    let rows = "import sys, pyarrow.parquet as pq; rows = pq.read_table(sys.argv[1]).slice(0, 400); \
                pq.write_table(rows, sys.argv[2], row_group_size=200)";
    let from = crate::support::repo().join("tests/data/web/web-00000.parquet");
    let mut python = Command::new(crate::support::repo().join(".venv/bin/python"));
    expect(python.args(["-c", rows]).arg(from).arg(web.join("a.parquet")), 0);
    let url = format!("input.url={}", web.display());
    job.set(&[&url, "shards.rows=200", "limits.failure_budget=0.2"])
}

fn with_poison<'a>(command: &'a mut Command, rows: &str) -> &'a mut Command {
    command.env("CAPFILT_TEST_POISON", rows)
}

fn failures(job: &Job) -> Vec<Value> {
    let shards = fs::read_dir(job.objects.join("failures")).into_iter().flatten();
    let records = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    records
        .map(|record| serde_json::from_slice(&fs::read(record.unwrap().path()).unwrap()).unwrap())
        .collect()
}

fn status_of(tables: &Tables, row: u64) -> Value {
    tables.ledger.iter().find(|one| one["row"] == row).unwrap()["status"].clone()
}

/// Objects below the job's folder, for comparing.
fn objects(job: &Job) -> std::collections::BTreeSet<String> {
    fn walk(folder: &Path, into: &mut std::collections::BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else {
                into.insert(path.display().to_string());
            }
        }
    }
    let mut found = Default::default();
    walk(&job.objects, &mut found);
    found
}

#[test]
fn rows_that_end_their_process_are_found_and_set_aside_alone_and_retry_brings_them_back() {
    let undisturbed = small_job();
    undisturbed.run();
    let whole = Tables::of(&undisturbed);

    let job = small_job();
    let run = expect(with_poison(&mut job.command("run"), "decode:37 device:301"), 1);
    assert!(stderr(&run).contains("SIGABRT"), "{}", stderr(&run));
    let tables = Tables::of(&job);
    for (row, judged) in whole.ledger.iter().enumerate() {
        if row == 37 || row == 301 {
            assert_eq!(status_of(&tables, row as u64), "crashed");
        } else {
            assert_judged_alike(&tables.ledger[row], judged, &format!("row {row}"));
        }
    }
    let set_aside: Vec<_> =
        tables.quarantine.iter().map(|row| (row["row"].clone(), row["status"].clone())).collect();
    assert_eq!(set_aside, [(json!(37), json!("crashed")), (json!(301), json!("crashed"))]);
    assert!(tables.quarantine.iter().all(|row| row["image"].is_string()), "the bytes are kept");
    let failures = failures(&job);
    assert_eq!(
        failures.len(),
        6,
        "two deaths and one that names its row, for each of two rows: {failures:?}"
    );
    let alone = failures.iter().filter(|failure| failure["crash"]["alone"] == true);
    assert_eq!(alone.count(), 2);
    job.verify(0);
    // The rows are judged again without the two, which would end this process too.
    let mut verify = job.command_by_url("verify");
    let again = json_of(with_poison(verify.args(["--json", "--recompute", "400"]), "decode:37 device:301"));
    let again = &again["recomputed"];
    let differ = ["other_rows", "other_captions", "other_verdicts"].map(|what| again[what].clone());
    assert_eq!((&again["rows"], differ), (&json!(400), [json!(0), json!(0), json!(0)]), "{again}");

    let dry = json_of(job.command_by_url("retry").args(["--dry-run", "--json"]));
    assert_eq!(dry, json!({"shards": 0, "shard_rows": 0, "rows": {"crashed": 2}}));
    let before = Tables::of(&job);
    let retried = expect(&mut job.command_by_url("retry"), 0);
    assert!(stdout(&retried).trim_end().ends_with("manifests/1.json"), "{}", stdout(&retried));
    let after = Tables::of(&job);
    for row in 0..400 {
        if row == 37 || row == 301 {
            assert_judged_alike(&after.ledger[row], &whole.ledger[row], &format!("row {row}"));
        } else {
            assert_eq!(after.ledger[row], before.ledger[row], "row {row} was not to be touched");
        }
    }
    assert!(after.quarantine.is_empty());
    assert_eq!(after.pairs.len(), whole.pairs.len());
    assert_eq!(job.verify(0)["rows"], 400);
    let nothing = expect(&mut job.command_by_url("retry"), 0);
    assert!(stdout(&nothing).trim_end().ends_with("manifests/1.json"), "{}", stdout(&nothing));
}

#[test]
fn retry_with_a_bigger_limit_repairs_only_the_rows_it_is_asked_for() {
    let job = small_job().set(&["limits.image_bytes=1500", "limits.failure_budget=1"]);
    expect(&mut job.command("run"), 1);
    let before = Tables::of(&job);
    let too_large = before.quarantine.iter().filter(|row| row["status"] == "image_too_large").count();
    assert!((1..400).contains(&too_large), "{too_large} of 400 images are above the limit");
    let refused = expect(job.command_by_url("retry").args(["--only", "image_to_large"]), 2);
    assert!(stderr(&refused).contains("image_too_large"), "{}", stderr(&refused));
    let refused = expect(job.command_by_url("retry").args(["-s", "filter.web_threshold=0.1"]), 2);
    assert!(stderr(&refused).contains("only limits.*"), "{}", stderr(&refused));
    // Another class does nothing.
    let other = expect(job.command_by_url("retry").args(["--only", "crashed"]), 1);
    assert!(stdout(&other).trim_end().ends_with("manifests/0.json"), "{}", stdout(&other));
    let mut retry = job.command_by_url("retry");
    expect(retry.args(["--only", "image_too_large", "-s", "limits.image_bytes=50 MiB"]), 0);
    let after = Tables::of(&job);
    assert!(after.quarantine.is_empty());
    for (before, after) in before.ledger.iter().zip(&after.ledger) {
        assert!(before == after || before["status"] == "image_too_large");
        assert_eq!(after["status"], "judged");
    }
    assert_eq!(job.verify(0)["rows"], 400);
}

#[test]
fn a_quarantined_shard_is_retried_and_gc_removes_what_no_commit_names_and_nothing_else() {
    let job = small_job().set(&["limits.attempts=1"]);
    let run = expect(with_poison(&mut job.command("run"), "device:301"), 1);
    assert!(stdout(&run).contains("quarantined shard"), "{}", stdout(&run));
    let [failure] = &failures(&job)[..] else { panic!("one death is enough for a single attempt") };
    let (lost, attempt) = (failure["shard"].as_str().unwrap(), failure["attempt"].as_str().unwrap());
    let commits = job.objects.join("commits");
    let done = fs::read_dir(commits).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();

    // What a zombie leaves at a shard that has a result, a failed attempt, a planner that lost, and a check
    // that died.
    let put = |name: &str| {
        let path = job.objects.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"left over").unwrap();
        name.to_owned()
    };
    let zombie = "0123456789abcdef0123456789abcdef";
    let mut garbage = [
        put(&format!("attempts/{done}/{zombie}/ledger.parquet")),
        put(&format!("attempts/{lost}/{attempt}/ledger.parquet")),
        put("plan-0123456789abcdef.parquet"),
        put("probes/0123456789abcdef0123456789abcdef.txt"),
    ];
    garbage.sort();
    // This one may be running: its shard has no result, and nothing says that it failed.
    put(&format!("attempts/{lost}/{zombie}/ledger.parquet"));
    let all = objects(&job);
    let listed = json_of(job.command_by_url("gc").arg("--json"));
    let mut names: Vec<_> = listed["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["object"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, garbage);
    assert_eq!(
        (&listed["maybe_running"], &listed["deleted"], &listed["bytes"]),
        (&json!(1), &json!(false), &json!(36))
    );
    assert_eq!(objects(&job), all, "a listing removes nothing");
    expect(job.command_by_url("gc").arg("--delete"), 0);
    let gone: Vec<_> = all.difference(&objects(&job)).cloned().collect();
    assert_eq!(gone.len(), 4, "{gone:?}");

    let dry = json_of(job.command_by_url("retry").args(["--only", "worker_crashed", "--dry-run", "--json"]));
    assert_eq!(dry, json!({"shards": 1, "shard_rows": 200, "rows": {}}));
    let retried = expect(job.command_by_url("retry").args(["--only", "worker_crashed"]), 0);
    assert!(stdout(&retried).trim_end().ends_with("manifests/1.json"), "{}", stdout(&retried));
    assert_eq!(job.verify(0)["rows"], 400);
    let undisturbed = small_job();
    undisturbed.run();
    assert!(job.committed() == undisturbed.committed(), "the committed tables differ");
    // Its shard has a result now, so what might have run can win no more.
    let left = json_of(job.command_by_url("gc").args(["--delete", "--json"]));
    assert_eq!((left["objects"].as_array().unwrap().len(), &left["maybe_running"]), (1, &json!(0)));
    job.verify(0);
}
