//! Records that a job accepts: those with its digest and version, names that it writes itself, and nothing
//! behind a link.

use crate::support::{Job, expect, small::first_rows, stderr, stdout, tables::json_of};
use capfilt_schemas::hash::sha256_hex;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// A finished job over 40 rows in two shards.
fn finished() -> Job {
    let job = unfinished();
    job.run();
    job
}

fn unfinished() -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    first_rows("web-00000.parquet", 40, 20, &web.join("a.parquet"));
    let url = format!("input.url={}", web.display());
    job.set(&[&url, "shards.rows=20"])
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Changes a JSON record.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut record = read(path);
    change(&mut record);
    fs::write(path, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
}

/// The records of the commits, sorted.
fn commits(job: &Job) -> Vec<PathBuf> {
    let shards = fs::read_dir(job.objects.join("commits")).unwrap();
    let mut paths: Vec<_> = shards.map(|shard| shard.unwrap().path().join("0.json")).collect();
    paths.sort();
    paths
}

fn shard_of(commit: &Path) -> String {
    commit.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

/// Every command about a job that reads its records, ready to be run.
fn readers(job: &Job) -> Vec<(&'static str, Command)> {
    let to = job.folder.path().join("exported").display().to_string();
    let command = |name: &'static str, arguments: &[&str]| {
        let mut command = job.command_by_url(name);
        command.args(arguments);
        (name, command)
    };
    vec![
        command("status", &[]),
        command("gc", &[]),
        command("worker", &["--device", "cpu"]),
        command("files", &["--table", "pairs"]),
        command("export", &["--format", "json", "--to", &to]),
        ("run", job.command("run")),
    ]
}

/// All files below a folder except links, with their bytes.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let kind = path.symlink_metadata().unwrap();
        if kind.is_dir() {
            all.extend(tree(&path));
        } else if kind.is_file() {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn gc_deletes_nothing_through_a_symbolic_link_and_no_name_that_the_program_does_not_write() {
    let job = finished();
    let home = job.folder.path().join("home");
    put(&home.join("thesis/chapter1.txt"), "precious");
    // As a zombie would have named it, if it were not behind a link.
    put(&home.join("0123456789abcdef0123456789abcdef/pairs.parquet"), "precious");
    put(&home.join("0123456789abcdef0123456789abcdef.txt"), "precious");
    let (commit, outside) = (commits(&job).remove(0), tree(&home));
    let done = shard_of(&commit);
    let attempts = job.objects.join("attempts");
    symlink(&home, attempts.join(&done).join("x")).unwrap();
    symlink(&home, attempts.join("00000000000000000000")).unwrap();
    symlink(home.join("thesis"), attempts.join(&done).join("0123456789abcdef0123456789abcdef")).unwrap();
    // Where a check leaves an empty folder.
    fs::remove_dir(job.objects.join("probes")).unwrap();
    symlink(&home, job.objects.join("probes")).unwrap();
    symlink(home.join("thesis/chapter1.txt"), job.objects.join("plan-0123456789abcdef.parquet")).unwrap();
    for name in [
        format!("attempts/{done}/0123456789abcdef0123456789abcdef.d/ledger.parquet"),
        format!("attempts/{done}/00000000000000000000000000000001/notes.parquet"),
        "attempts/notes.txt".to_owned(),
        "plan-b.parquet".to_owned(),
    ] {
        put(&job.objects.join(name), "a stranger's");
    }
    let before = tree(&job.objects);
    let garbage = format!("attempts/{done}/00000000000000000000000000000001/ledger.parquet");
    put(&job.objects.join(&garbage), "a zombie's");
    let output = expect(job.command_by_url("gc").args(["--delete", "--json"]), 0);
    let removed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(removed["objects"].as_array().unwrap().len(), 1, "{removed}");
    assert_eq!(removed["objects"][0]["object"], garbage);
    assert!(stderr(&output).contains("symbolic link"), "{}", stderr(&output));
    assert_eq!(tree(&home), outside);
    assert_eq!(tree(&job.objects), before);
    // The links themselves are named, and are all that is wrong.
    let found = job.verify(1);
    let problems = found["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 5, "{found}");
    assert!(problems.iter().all(|one| one["what"].as_str().unwrap().contains("symbolic link")), "{found}");
}

#[test]
fn nothing_is_read_through_a_symbolic_link_in_a_job_s_folder() {
    let job = finished();
    let secret = job.folder.path().join("secret.parquet");
    let commit = commits(&job).remove(0);
    let pairs = job.objects.join(read(&commit)["outputs"][1]["path"].as_str().unwrap());
    fs::rename(&pairs, &secret).unwrap();
    symlink(&secret, &pairs).unwrap();
    let found = job.verify(1)["problems"].to_string();
    assert!(found.contains("symbolic link"), "{found}");
    let to = job.folder.path().join("exported").display().to_string();
    let export = expect(job.command_by_url("export").args(["--format", "json", "--to", &to]), 3);
    assert!(stderr(&export).contains("is a symbolic link, and links"), "{}", stderr(&export));
}

#[test]
fn a_job_whose_own_folder_is_a_symbolic_link_is_worked_on_and_read_as_any_other() {
    let job = unfinished();
    fs::create_dir(job.folder.path().join("elsewhere")).unwrap();
    symlink(job.folder.path().join("elsewhere"), &job.objects).unwrap();
    job.run();
    assert!(job.folder.path().join("elsewhere/job.json").exists());
    assert_eq!(job.verify(0)["rows"], 40);
    for (name, mut command) in readers(&job) {
        let output = expect(&mut command, 0);
        assert!(
            name != "files" || stdout(&output).lines().all(|path| Path::new(path).exists()),
            "{output:?}"
        );
    }
}

#[test]
fn a_new_job_is_not_created_where_another_job_s_commits_lie() {
    let job = finished();
    fs::remove_file(job.objects.join("job.json")).unwrap();
    let before = tree(&job.objects);
    let other = ["-s", "job.seed=5", "-s", "captioner.max_length=12"];
    let refused = stderr(&expect(job.command("run").args(other), 2));
    for shown in ["there is no job.json", "commits/", "restore that job's job.json", "another job.url"] {
        assert!(refused.contains(shown), "{refused}");
    }
    assert_eq!(tree(&job.objects), before, "nothing was written");
}

#[test]
fn commits_of_another_job_are_taken_by_no_command_for_this_job_s() {
    let job = finished();
    // Another job's job.json over the same plan, as someone may copy it.
    let record = job.objects.join("job.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"seed\": 0", "\"seed\": 1")).unwrap();
    let job = job.set(&["job.seed=1"]);
    for (name, mut command) in readers(&job) {
        let said = stderr(&expect(&mut command, 3));
        assert!(said.contains("it belongs to another job") && said.contains("job.url"), "{name}: {said}");
    }
    let found = job.verify(1);
    let foreign = found["problems"].as_array().unwrap().iter();
    let foreign = foreign.filter(|one| one["what"].as_str().unwrap().contains("belongs to another job"));
    assert_eq!(foreign.count(), 2, "{found}");
    assert!(found["recomputed"].is_null());
}

#[test]
fn a_job_of_before_commits_carried_a_digest_stays_readable_and_verify_says_how_many_carry_none() {
    let job = finished();
    for path in commits(&job).into_iter().chain([job.objects.join("manifests/0.json")]) {
        edit(&path, |record| {
            drop(record.as_object_mut().unwrap().remove("job").expect("it carries a digest"))
        });
    }
    // The manifest's digest is over the commits' bytes.
    fs::remove_dir_all(job.objects.join("manifests")).unwrap();
    job.run();
    let found = job.verify(0);
    assert_eq!((&found["rows"], &found["commits_without_job"]), (&40.into(), &2.into()));
    let said = stdout(&expect(&mut job.command_by_url("verify"), 0));
    assert!(said.contains("2 commits do not say which job they belong to"), "{said}");
    // A manifest without a digest is as good as one with it: there is no second version of the same data.
    edit(&job.objects.join("manifests/0.json"), |record| drop(record.as_object_mut().unwrap().remove("job")));
    for (_, mut command) in readers(&job) {
        expect(&mut command, 0);
    }
    assert_eq!(fs::read_dir(job.objects.join("manifests")).unwrap().count(), 1);
}

#[test]
fn every_record_of_a_newer_version_is_named_as_one() {
    let job = finished();
    let shard = shard_of(&commits(&job)[0]);
    let attempt = "0123456789abcdef0123456789abcdef";
    let newer = r#"{"version": 9, "what": "this version does not know"}"#;
    let records = [
        ("job.json".to_owned(), "status"),
        (format!("commits/{shard}/0.json"), "files"),
        (format!("failures/{shard}/{attempt}.json"), "status"),
        ("retries/0.json".to_owned(), "status"),
        ("manifests/0.json".to_owned(), "files"),
        ("known-answers.json".to_owned(), "verify"),
    ];
    for (name, reader) in records {
        let path = job.objects.join(&name);
        let before = fs::read(&path).ok();
        put(&path, newer);
        let mut command = job.command_by_url(reader);
        if reader == "files" {
            command.args(["--table", "pairs"]);
        }
        let output = command.output().unwrap();
        let said = stdout(&output) + &stderr(&output);
        assert!(
            !output.status.success() && said.contains("of version 9, written by a newer capfilt"),
            "{name}: {said}"
        );
        match before {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    job.verify(0);
}

#[test]
fn stray_files_among_the_records_are_named_and_block_no_command() {
    let job = finished();
    let (commit, manifest) =
        (commits(&job).remove(0), fs::read(job.objects.join("manifests/0.json")).unwrap());
    let shard = shard_of(&commit);
    let strays = [
        ("failures/00000000000000000000/x.json".to_owned(), "{}".into()),
        (format!("failures/{shard}/{}.json", "a".repeat(32)), b"garbage".to_vec()),
        ("retries/7.json".to_owned(), b"{}".to_vec()),
        ("retries/notes.txt".to_owned(), b"hello".to_vec()),
        ("commits/a b c/x".to_owned(), b"hi".to_vec()),
        (format!("commits/{shard}/00.json"), fs::read(&commit).unwrap()),
        ("manifests/01.json".to_owned(), manifest),
    ];
    for (name, content) in &strays {
        put(&job.objects.join(name), content);
    }
    for (name, mut command) in readers(&job) {
        let said = stderr(&expect(&mut command, 0));
        let reads_manifest_alone = ["files", "export"].contains(&name);
        assert!(reads_manifest_alone || said.matches("it is skipped").count() >= 2, "{name}: {said}");
    }
    let said = stderr(&expect(job.command_by_url("status").arg("--json"), 0));
    assert_eq!(said.matches("retries/7.json").count(), 1, "{said}");
    // `verify` lists names that are not names of commits.
    assert_eq!(job.verify(1)["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn running_the_job_again_mends_a_manifest_that_is_damaged_as_verify_advises() {
    let job = finished();
    let path = job.objects.join("manifests/0.json");
    for damaged in [&b""[..], b"{}", b"\xff\xfe", b"null"] {
        fs::write(&path, damaged).unwrap();
        let found = job.verify(1);
        assert!(found["problems"][0]["next"].as_str().unwrap().starts_with("run the job again"), "{found}");
        let status = json_of(job.command_by_url("status").arg("--json"));
        assert_eq!((&status["done"], &status["manifest"]), (&false.into(), &Value::Null));
        let refused = stderr(&expect(job.command_by_url("files").args(["--table", "pairs"]), 3));
        assert!(refused.contains("run the job again"), "{refused}");
        assert!(stdout(&job.run()).trim_end().ends_with("manifests/1.json"));
        job.verify(0);
        fs::remove_file(job.objects.join("manifests/1.json")).unwrap();
    }
    fs::remove_file(&path).unwrap();
    let last = job.objects.join("manifests/4294967295.json");
    put(&last, "{}");
    assert!(job.verify(1)["problems"][0]["next"].as_str().unwrap().starts_with("delete it"));
    let refused = stderr(&expect(&mut job.command("run"), 3));
    assert!(refused.contains("delete it"), "{refused}");
}

#[test]
fn a_plan_whose_counts_or_ids_are_not_those_of_its_job_is_refused() {
    let job = finished();
    let record = job.objects.join("job.json");
    let before = fs::read(&record).unwrap();
    for (field, value) in [("rows", 41), ("shards", 3)] {
        edit(&record, |job| job["plan"][field] = value.into());
        for name in ["status", "gc"] {
            let said = stderr(&expect(&mut job.command_by_url(name), 3));
            assert!(said.contains(&format!("job.json says {value}")), "{said}");
        }
        let found = job.verify(1)["problems"].to_string();
        assert!(found.contains("job.json says") && !found.contains("panicked"), "{found}");
    }
    fs::write(&record, &before).unwrap();
    // The same count of rows under a plan of other bytes: the digest tells.
    let plan = job.objects.join(read(&record)["plan"]["path"].as_str().unwrap());
    let bytes = fs::read(&plan).unwrap();
    fs::write(&plan, [&bytes[..], b"x"].concat()).unwrap();
    assert_ne!(sha256_hex(&bytes), sha256_hex(&fs::read(&plan).unwrap()));
    let said = stderr(&expect(&mut job.command_by_url("status"), 3));
    assert!(said.contains("not the one that job.json names"), "{said}");
}
