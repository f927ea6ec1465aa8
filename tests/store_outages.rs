//! Stores that do not answer: commands report an outage and wait for it, also for an outage of a credentials
//! service.

use crate::s3;
use crate::support::{s3::S3, stderr};
use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// Longer than the client's five retries.
const OUTAGE: Duration = Duration::from_secs(12);

#[test]
fn an_outage_in_the_middle_of_a_run_is_waited_out_and_said_every_few_seconds() {
    let s3 = s3::bucket();
    let undisturbed = s3::job(&s3, "undisturbed");
    undisturbed.run();
    let job = s3::job(&s3, "outage");
    let run = job.command("run").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // In mid-work: the first shard is committed, three are open.
    wait_until(|| job.objects.join("commits").is_dir());
    s3.go_down();
    std::thread::sleep(OUTAGE);
    s3.come_up();
    let ended = run.wait_with_output().unwrap();
    let said = stderr(&ended);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let waits = said.lines().filter(|line| line.contains("s3://capfilt is unavailable for")).count();
    assert!(waits >= 2 && said.contains("waiting, for 900 s at most"), "{said}");
    assert!(job.committed() == undisturbed.committed(), "the committed tables differ");
    // No try was used up.
    assert!(!job.objects.join("failures").exists(), "{said}");
}

#[test]
fn an_outage_longer_than_the_settings_allow_ends_the_run_with_its_cause() {
    let s3 = s3::bucket();
    let job = s3::job(&s3, "outage").set(&["workers.outage_seconds=6", "limits.attempts=1"]);
    let run = job.command("run").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| job.objects.join("commits").is_dir());
    s3.go_down();
    let ended = run.wait_with_output().unwrap();
    let said = stderr(&ended);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("is unavailable for") && said.contains("for 6 s at most"), "{said}");
}

#[test]
fn a_store_that_never_answered_is_given_up_within_seconds() {
    let s3 = S3::start();
    let job = s3::job(&s3, "nowhere");
    s3.go_down();
    let since = Instant::now();
    let said = stderr(&crate::support::expect(job.command("plan").args(["--calibrate", "0"]), 3));
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}: {said}", since.elapsed());
}

#[test]
fn a_metadata_service_that_never_answers_is_named_after_three_seconds() {
    let s3 = s3::bucket();
    // It takes connections, and that is all.
    let metadata = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = metadata.local_addr().unwrap().to_string();
    let mut job = s3::job(&s3, "roleless");
    job.env.retain(|(key, _)| key != "AWS_ACCESS_KEY_ID" && key != "AWS_SECRET_ACCESS_KEY");
    job.env.push(("AWS_METADATA_ENDPOINT".to_owned(), format!("http://{address}")));
    let mut check =
        Killed(job.command("check").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let since = Instant::now();
    let mut lines = BufReader::new(check.0.stderr.take().unwrap()).lines();
    let said =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("waiting for"))).unwrap().unwrap();
    assert!(said.contains(&format!("waiting for {address} for credentials")), "{said}");
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}

/// A process that is ended with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(120), "it does not come to that");
        std::thread::sleep(Duration::from_millis(20));
    }
}
