//! Standard output that is full, or whose reader has gone: no command panics, and work that is done stays
//! done.

use crate::support::{Job, expect, repo, small::first_rows, stderr};
use std::{
    fs::{self, OpenOptions},
    process::{Command, Stdio},
};

/// A finished job over 40 rows, and commands that print, with the code each ends with.
fn printing() -> (Job, Vec<(Command, i32)>) {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    first_rows("web-00000.parquet", 40, 20, &web.join("a.parquet"));
    let url = format!("input.url={}", web.display());
    let job = job.set(&[&url, "shards.rows=20"]);
    job.run();
    let by_url = |name: &str, arguments: &[&str]| {
        let mut command = job.command_by_url(name);
        command.args(arguments);
        command
    };
    let plain = |arguments: &[&str]| {
        let mut command = crate::support::capfilt();
        command.args(arguments);
        command
    };
    let mut plan = job.command("plan");
    plan.args(["--calibrate", "0"]);
    let captioner = repo().join("tests/data/models/captioner").display().to_string();
    let commands = vec![
        (by_url("verify", &[]), 0),
        (by_url("status", &[]), 0),
        (by_url("status", &["--json"]), 0),
        (by_url("gc", &[]), 0),
        (by_url("files", &["--table", "ledger"]), 0),
        (by_url("retry", &["--dry-run", "--json"]), 0),
        (by_url("worker", &["--device", "cpu"]), 0),
        (plan, 0),
        (job.command("run"), 0),
        (job.command("check"), 0),
        (plain(&["--help"]), 0),
        (plain(&["--version"]), 0),
        (plain(&["lineage", &captioner]), 2),
    ];
    (job, commands)
}

#[test]
fn a_full_standard_output_is_one_line_and_code_3_and_a_closed_one_is_the_quiet_end_of_every_command() {
    let (job, commands) = printing();
    for (mut command, code) in commands {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let said = stderr(&output);
        assert!(!said.contains("panicked"), "{command:?}: {said}");
        if code == 0 {
            assert_eq!(output.status.code(), Some(3), "{command:?}: {said}");
            assert_eq!(said.matches("cannot write to standard output").count(), 1, "{command:?}: {said}");
        }
        // The reading end is gone before the command begins.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
        assert!(!said.contains("standard output") && !said.contains("panicked"), "{command:?}: {said}");
    }
    job.verify(0);
}

#[test]
fn a_run_that_seals_its_job_with_nobody_to_tell_has_sealed_it() {
    let (job, _) = printing();
    fs::remove_dir_all(job.objects.join("manifests")).unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = expect(job.command("run").stdout(full), 3);
    assert!(stderr(&output).contains("what the command did besides is done"), "{}", stderr(&output));
    job.verify(0);
}

#[test]
fn a_standard_error_that_cannot_be_written_ends_no_command() {
    let (job, _) = printing();
    fs::write(job.objects.join("retries.txt"), "").unwrap();
    fs::create_dir_all(job.objects.join("retries")).unwrap();
    fs::write(job.objects.join("retries/notes.txt"), "a stray, which is warned of").unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status =
        job.command("run").env("CAPFILT_LOG", "info").stdout(Stdio::null()).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn watching_a_job_ends_when_nobody_reads_any_more() {
    let (job, _) = printing();
    fs::remove_dir_all(job.objects.join("manifests")).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = job.command_by_url("status").arg("--watch").stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
