//! Stop requests: a run finishes what will soon end, and leaves no process behind.

use super::job::{Job, script};
use capfilt_coordinator::dispatch::{Change, Outcome};
use std::{path::Path, time::Duration};
use tokio::sync::watch;

/// Reports `rows` of a shard's ten rows as finished.
fn progress(rows: u32) -> String {
    let tally = r#"{\"rows\":{},\"web\":{},\"web_kept\":0,\"synthetic\":0,\"synthetic_kept\":0,\"pairs\":0}"#;
    format!(r#"echo "{{\"event\":\"progress\",\"shard\":\"$id\",\"rows\":{rows},\"tally\":{tally}}}""#)
}

/// Sends `times` stop requests after children have left marks with these names.
async fn ask_when_there(job: &Job, marks: &[&str], ask: &watch::Sender<bool>, times: u32) {
    while !marks.iter().all(|mark| job.folder().join(mark).exists()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..times {
        ask.send(true).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn asked_to_stop_a_run_finishes_what_will_soon_end_and_leaves_no_child_behind() {
    let mut job = Job::new(6).await;
    job.policy.grace = Duration::from_secs(1000);
    let (ask, stop) = watch::channel(false);
    // The second child's shard has just begun; the first child's shard is nearly finished.
    let script = script(
        "echo $$ > $FOLDER/pid.$WORKER",
        &format!(
            r#"[ $WORKER = 0 ] || {{ touch "$FOLDER/two"; exec sleep 1000; }}
  {}; touch "$FOLDER/one"; sleep 0.2"#,
            progress(10)
        ),
    );
    let (outcome, ()) =
        tokio::join!(job.run_until(2, &script, stop), ask_when_there(&job, &["one", "two"], &ask, 1));
    let Outcome::Interrupted(report) = outcome.unwrap() else { panic!("a stop was requested") };
    assert!(report.committed >= 1, "the first child's shard was finished within the grace");
    for worker in 0..2 {
        let pid = std::fs::read_to_string(job.folder().join(format!("pid.{worker}"))).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "worker {worker} is still running");
    }
    assert!(job.failures().await.is_empty(), "a stop request is not a failure");
}

#[tokio::test]
async fn asked_to_stop_twice_a_run_finishes_nothing() {
    let mut job = Job::new(3).await;
    job.policy.grace = Duration::from_secs(1000);
    let (ask, stop) = watch::channel(false);
    let script = script("", &format!(r#"{}; touch "$FOLDER/one"; exec sleep 1000"#, progress(10)));
    let (outcome, ()) =
        tokio::join!(job.run_until(1, &script, stop), ask_when_there(&job, &["one"], &ask, 2));
    let Outcome::Interrupted(report) = outcome.unwrap() else { panic!("a stop was requested") };
    assert_eq!(report.committed, 0);
    let leaving = Change::Leaving { given_back: 2, finishing: 1 };
    assert!(job.changes.lock().unwrap().contains(&leaving), "the second stop request came too late");
}
