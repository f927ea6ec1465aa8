//! Input files that were replaced, removed or added since a job was planned: named and refused, or left out
//! on demand.

use crate::support::process::{Process, committed_shards, wait_until};
use crate::support::s3::S3;
use crate::support::{Committed, Job, expect, first_address, repo, small::first_rows, stderr, stdout};
use std::path::Path;

const FILES: [&str; 3] = ["web-00000.parquet", "web-00001.parquet", "web-00002.parquet"];

#[test]
fn in_a_folder_changed_files_are_refused_by_name_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    std::fs::create_dir(&web).unwrap();
    left_out(&Job::over(&web.display().to_string()).set(&["shards.rows=20"]), &web);
}

#[test]
fn in_a_bucket_changed_files_are_refused_by_name_or_left_out() {
    let s3 = S3::start();
    std::fs::create_dir(s3.file("web")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let models = repo().join("tests/data/models").display().to_string();
    let mut job = Job::at(folder, s3.url("job"), s3.file("job"), &s3.url("web"), &models);
    job.env = s3.env();
    left_out(&job.set(&["shards.rows=20"]), &s3.file("web"));
}

/// A job over three files of four shards each: one stays, one is replaced when one of its shards is done, one
/// is removed when none is; and one more is added.
fn left_out(job: &Job, web: &Path) {
    FILES.iter().for_each(|file| first_rows(file, 80, 20, &web.join(file)));
    job.run();
    undo(job, |file, row| file == FILES[2] || (file == FILES[1] && row > 0));
    let before = job.committed();
    assert_eq!(shards(&before), 5);
    std::fs::rename(web.join(FILES[2]), web.join(FILES[1])).unwrap();
    first_rows(FILES[2], 80, 20, &web.join("web-00003.parquet"));

    let changes = [
        "input file web-00001.parquet changed",
        "input file web-00002.parquet was removed",
        "input file web-00003.parquet was added",
    ];
    let said = stderr(&expect(&mut job.command("run"), 2));
    assert!(changes.iter().all(|change| said.contains(change)) && !said.contains("web-00000"), "{said}");
    assert!(said.contains("--allow-changed"), "{said}");

    let output = expect(job.command("run").args(["--allow-changed", "--json"]), 1);
    let said = stderr(&output);
    assert!(changes.iter().all(|change| said.contains(change)), "{said}");
    for shown in [
        "; 3 open shards of it are quarantined",
        "; 4 open shards of it are quarantined",
        "; it is not part of this job",
    ] {
        assert!(said.contains(shown), "{said}");
    }
    let shown: serde_json::Value = serde_json::from_str(stdout(&output).lines().next().unwrap()).unwrap();
    assert_eq!(
        (&shown["shards"], &shown["rows"], &shown["quarantined_shards"]),
        (&5.into(), &100.into(), &7.into())
    );
    assert!(job.committed() == before, "what was committed has changed");

    // Every planned row is accounted for.
    let status = stdout(&expect(job.command_by_url("status").arg("--json"), 0));
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    for (state, rows) in [("planned", 240), ("committed", 100), ("quarantined", 140), ("open", 0)] {
        assert_eq!(status["rows"][state], rows, "{state}");
    }
    assert_eq!(status["failures"]["input_changed"], 7);

    // Without `--allow-changed`, `verify` reports that results and input no longer belong together.
    let found = job.verify(1)["problems"].to_string();
    assert!(changes.iter().all(|change| found.contains(change)), "{found}");
    let output = expect(job.command_by_url("verify").args(["--allow-changed", "--json"]), 0);
    let found: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&found["ok"], &found["rows"]), (&true.into(), &100.into()));

    // Once more changes nothing.
    let again = stdout(&expect(job.command("run").arg("--allow-changed"), 1));
    assert!(again.trim_end().ends_with("manifests/0.json"), "{again}");
}

#[test]
fn where_if_match_is_ignored_an_input_replaced_in_mid_job_is_not_mixed_in_and_is_named() {
    let s3 = S3::start();
    s3.ignore_if_match();
    std::fs::create_dir(s3.file("web")).unwrap();
    first_rows(FILES[0], 80, 20, &s3.file("web/a.parquet"));
    let folder = tempfile::tempdir().unwrap();
    let models = repo().join("tests/data/models").display().to_string();
    let mut job = Job::at(folder, s3.url("job"), s3.file("job"), &s3.url("web"), &models);
    job.env = s3.env();
    let job = job.set(&["shards.rows=20"]);
    let said = stdout(&expect(&mut job.command("check"), 0));
    assert!(said.contains("If-Match: ignored by this store"), "{said}");
    job.run();
    undo(&job, |_, row| row > 0);
    let before = job.committed();
    // Other rows under the same name, and as many. A worker trusts the plan.
    first_rows(FILES[1], 80, 20, &s3.file("web/a.parquet"));
    let worker = stderr(&expect(job.command_by_url("worker").args(["--device", "cpu"]), 1));
    assert!(worker.contains("the input changed since the job was planned"), "{worker}");
    assert!(job.committed() == before, "rows of the new file were committed");
    let sealed = expect(job.command("run").arg("--allow-changed"), 1);
    assert!(stdout(&sealed).contains("input_changed"), "{}", stdout(&sealed));
    let found = job.verify(1)["problems"].to_string();
    assert!(found.contains("input file a.parquet changed"), "{found}");
    let again = job
        .command_by_url("verify")
        .args(["--json", "--recompute", "20", "--device", "cpu"])
        .output()
        .unwrap();
    let said = stdout(&again) + &stderr(&again);
    assert!(
        said.contains("input file a.parquet changed") && !said.contains("not those of its models"),
        "{said}"
    );
}

#[test]
fn a_store_that_heeds_if_match_is_said_to() {
    let s3 = S3::start();
    std::fs::create_dir(s3.file("web")).unwrap();
    first_rows(FILES[0], 20, 20, &s3.file("web/a.parquet"));
    let models = repo().join("tests/data/models").display().to_string();
    let mut job =
        Job::at(tempfile::tempdir().unwrap(), s3.url("job"), s3.file("job"), &s3.url("web"), &models);
    job.env = s3.env();
    let said = stdout(&expect(&mut job.command("check"), 0));
    assert!(said.contains("If-Match: honoured"), "{said}");
}

#[test]
fn what_changes_in_the_input_while_a_job_is_worked_on_is_named_before_it_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    std::fs::create_dir(&web).unwrap();
    first_rows(FILES[0], 400, 20, &web.join(FILES[0]));
    first_rows(FILES[1], 20, 20, &folder.path().join("later.parquet"));
    let job = Job::over(&web.display().to_string()).set(&["shards.rows=20"]);
    let mut run = Process::start(&job, "run", &mut job.command("run"));
    wait_until(|| committed_shards(&job) > 0);
    std::fs::rename(folder.path().join("later.parquet"), web.join("later.parquet")).unwrap();
    assert_eq!(run.code(), Some(0), "{}", run.log());
    let warned = "warning: input file later.parquet was added, while the job was worked on";
    assert!(run.log().contains(warned), "{}", run.log());
}

fn shards(committed: &Committed) -> usize {
    committed.keys().filter(|(_, _, table)| table == "ledger").count()
}

/// Takes back the results of shards with such files and first rows, and the manifest: the job is as if it had
/// been stopped.
fn undo(job: &Job, is_undone: impl Fn(&str, u64) -> bool) {
    std::fs::remove_dir_all(job.objects.join("manifests")).unwrap();
    for shard in std::fs::read_dir(job.objects.join("commits")).unwrap().map(|entry| entry.unwrap().path()) {
        let commit: serde_json::Value =
            serde_json::from_slice(&std::fs::read(shard.join("0.json")).unwrap()).unwrap();
        let outputs = commit["outputs"].as_array().unwrap();
        let ledger =
            outputs.iter().find(|output| output["table"] == "ledger").unwrap()["path"].as_str().unwrap();
        let (file, row) = first_address(&job.objects.join(ledger));
        if is_undone(&file, row) {
            std::fs::remove_dir_all(shard).unwrap();
        }
    }
}
