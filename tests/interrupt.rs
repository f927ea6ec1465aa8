//! Ctrl-C and a scheduler's SIGTERM end a run cleanly: commits stay, no process is left running, and
//! the same command resumes.

use crate::{
    s3,
    support::{
        Job,
        process::{Process, wait_until},
        shared::job_of,
    },
};
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A run that has said that a worker is ready.
fn running(job: &Job) -> Child {
    let mut run = job.command("run").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("is ready")), "the run ended before a worker was ready");
    // What else it says must have a reader, or it would be held up.
    std::thread::spawn(move || lines.for_each(drop));
    run
}

fn children_of(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_run_that_is_asked_to_stop_ends_with_130_and_the_next_one_finishes_the_job() {
    let undisturbed = job_of(12, 80);
    undisturbed.run();
    let job = job_of(12, 80);
    for signal in ["-INT", "-TERM"] {
        let mut run = running(&job);
        let workers = children_of(run.id());
        assert!(!workers.is_empty());
        Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(130), "{signal}");
        for worker in workers {
            assert!(
                !std::path::Path::new(&format!("/proc/{worker}")).exists(),
                "{signal} left worker {worker} running"
            );
        }
    }
    job.run();
    assert_eq!(job.verify(0)["rows"], 960);
    assert!(job.committed() == undisturbed.committed(), "the committed tables differ");
}

#[test]
fn the_first_signal_ends_a_run_whose_store_is_away() {
    let s3 = s3::bucket();
    let job = s3::job(&s3, "outage");
    let mut run = Process::start(&job, "run", &mut job.command("run"));
    wait_until(|| job.objects.join("commits").is_dir());
    s3.go_down();
    run.wait_for("is unavailable for");
    run.signal("-TERM");
    let signalled = Instant::now();
    assert_eq!(run.code(), Some(130), "{}", run.log());
    // A shard has ten seconds to be finished in, and the outage would be waited out for a quarter of an hour.
    assert!(signalled.elapsed() < Duration::from_secs(25), "{:?}\n{}", signalled.elapsed(), run.log());
}
