//! Rows that get their worker killed or never end, workers whose parent is gone, and places that take no more
//! bytes.

use crate::support::{Job, expect, process::wait_until, repo, small, stderr, stdout, tables::Tables};
use serde_json::json;
use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// One shard of 100 rows.
fn small_job() -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    small::first_rows("web-00000.parquet", 100, 100, &web.join("a.parquet"));
    let url = format!("input.url={}", web.display());
    job.set(&[&url, "limits.failure_budget=0.2"])
}

fn poisoned(job: &Job, rows: &str) -> Command {
    let mut command = job.command("run");
    command.env("CAPFILT_TEST_POISON", rows);
    command
}

#[test]
fn a_row_that_gets_its_worker_killed_is_found_and_set_aside_alone() {
    let job = small_job();
    let run = expect(&mut poisoned(&job, "decode-kill:37"), 1);
    assert!(stderr(&run).contains("SIGKILL"), "{}", stderr(&run));
    let tables = Tables::of(&job);
    let [set_aside] = &tables.quarantine[..] else { panic!("{:?}", tables.quarantine) };
    assert_eq!((&set_aside["row"], &set_aside["status"]), (&json!(37), &json!("crashed")));
    assert!(set_aside["detail"].as_str().unwrap().contains("killed each time"), "{set_aside}");
    assert_eq!(tables.ledger.iter().filter(|row| row["status"] == "judged").count(), 99);
    job.verify(0);
}

#[test]
fn an_image_that_takes_too_long_is_set_aside_and_its_worker_goes_on() {
    let job = small_job().set(&["limits.decode_seconds=1"]);
    let run = expect(&mut poisoned(&job, "decode-hang:37 decode-hang:80"), 1);
    let tables = Tables::of(&job);
    let rows: Vec<_> = tables.quarantine.iter().map(|row| (&row["row"], &row["status"])).collect();
    let status = json!("image_undecodable");
    assert_eq!(rows, [(&json!(37), &status), (&json!(80), &status)]);
    let detail = tables.quarantine[0]["detail"].as_str().unwrap();
    assert!(detail.contains("limits.decode_seconds = 1"), "{detail}");
    assert!(!job.objects.join("failures").exists(), "no attempt failed: {}", stderr(&run));
    job.verify(0);
}

fn children_of(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_worker_ends_when_its_parent_is_killed_whatever_it_waits_for() {
    let job = small_job();
    let log = job.folder.path().join("run.log");
    let mut run = poisoned(&job, "device-hang:0").stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    wait_until(|| fs::read_to_string(&log).unwrap().contains("is ready"));
    let workers = children_of(run.id());
    assert!(!workers.is_empty());
    run.kill().unwrap();
    run.wait().unwrap();
    let killed = Instant::now();
    // Its new parent may take its time to see that it is over.
    let is_over = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.rsplit_once(')').is_some_and(|(_, state)| state.starts_with(" Z"))
    };
    wait_until(|| workers.iter().all(is_over));
    assert!(killed.elapsed() < Duration::from_secs(4), "{:?}", killed.elapsed());
}

#[test]
fn a_row_that_names_a_fifo_costs_itself_alone() {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    fs::copy(repo().join("pipeline/tests/small/baseline.jpg"), web.join("x.jpg")).unwrap();
    assert!(Command::new("mkfifo").arg(web.join("pipe.jpg")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", web.join("zero.jpg")).unwrap();
    let rows = "import sys, pyarrow as pa, pyarrow.parquet as pq; p = ['x.jpg', 'pipe.jpg', 'zero.jpg']; \
                pq.write_table(pa.table({'key': p, 'jpg': p, 'caption': ['a dog'] * 3}), sys.argv[1])";
    let mut python = Command::new(repo().join(".venv/bin/python"));
    expect(python.args(["-c", rows]).arg(web.join("a.parquet")), 0);
    let url = format!("input.url={}", web.display());
    let job = job.set(&[&url]);
    expect(&mut job.command("run"), 1);
    let tables = Tables::of(&job);
    assert_eq!(tables.row("x.jpg")["status"], "judged");
    for name in ["pipe.jpg", "zero.jpg"] {
        let row = tables.row(name);
        assert_eq!(row["status"], "image_unreadable", "{row}");
        assert!(row["detail"].as_str().unwrap().contains("regular file"), "{row}");
    }
}

/// A run whose shell says something first.
fn after(first: &str, run: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first} && exec \"$@\""), "sh"]).arg(run.get_program()).args(run.get_args());
    run.get_envs().filter_map(|(name, value)| Some((name, value?))).for_each(|(name, value)| {
        shell.env(name, value);
    });
    shell
}

#[test]
fn a_file_size_limit_is_an_error_that_is_told_and_no_end_of_the_workers() {
    let job = Job::over_one_file().set(&["shards.rows=200"]);
    // In units of 512 bytes: the plan fits, the pairs with their images do not.
    let run = expect(after("ulimit -f 64", &job.command("run")).stdout(Stdio::piped()), 3);
    let shown = stderr(&run);
    assert!(shown.contains("File too large") && shown.contains("in a row failed at the store"), "{shown}");
    assert!(!shown.contains("signal"), "{shown}");
    let log = stdout(&run);
    assert!(!log.contains("quarantined"), "{log}");
}

#[test]
fn a_full_disk_stops_the_run_with_its_reason_and_the_next_one_goes_on() {
    let job = Job::over_one_file().set(&["shards.rows=200"]);
    let disk = job.objects.parent().unwrap().join("disk");
    fs::create_dir(&disk).unwrap();
    let on_disk = format!("job.url={}/job", disk.display());
    let job = job.set(&[&on_disk]);
    // A disk of half a MiB, in a namespace of the run's own. It is grown in the same namespace for the second
    // run.
    let mount = format!("mount -t tmpfs -o size=512k tmpfs {}", disk.display());
    let mut run = job.command("run");
    run.arg("--json");
    let mut both = Command::new("unshare");
    both.arg("--mount").args((!is_root()).then_some("--map-root-user")).arg("sh");
    both.args([
        "-c",
        &format!(
            "{mount} && \"$@\"; echo first $?; mount -o remount,size=100m {} && exec \"$@\"",
            disk.display()
        ),
    ]);
    both.arg("sh").arg(run.get_program()).args(run.get_args());
    let both = expect(&mut both, 0);
    let (said, shown) = (stdout(&both), stderr(&both));
    assert!(said.starts_with("first 3"), "{said}\n{shown}");
    assert!(shown.contains("No space left on device") && shown.contains("make room"), "{shown}");
    assert!(said.contains("\"rows\":800"), "{said}");
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
