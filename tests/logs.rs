//! The log as machines read it: every line JSON, every attempt a span.

use crate::support::{
    Job,
    process::{Process, committed_shards, wait_until},
    shared::job_of,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Every line but the manifest's URL.
fn events(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| !line.ends_with("manifests/0.json"));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Shard, worker and device of an event's attempt, by its id.
fn attempt(event: &Value) -> Option<(String, [String; 3])> {
    let spans = event["spans"].as_array()?;
    let span = spans.iter().find(|span| span["name"] == "attempt")?;
    let field = |name: &str| span[name].as_str().unwrap_or_else(|| panic!("no {name} in {span}")).to_owned();
    Some((field("attempt"), ["shard", "worker", "device"].map(field)))
}

fn message(event: &Value) -> &str {
    event["fields"]["message"].as_str().unwrap_or_default()
}

/// Kills the only device process of a run while the process holds an attempt: the process is stopped first,
/// so that no attempt ends between the reading of the log and the kill.
fn kill_device_in_the_middle_of_an_attempt(job: &Job, run: &Process) {
    let pid = run.child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let device = children.split_whitespace().next().unwrap();
    let signal = |name: &str| {
        assert!(std::process::Command::new("kill").args([name, device]).status().unwrap().success());
    };
    wait_until(|| {
        signal("-STOP");
        // Events that the process wrote before it was stopped reach the log of its parent.
        std::thread::sleep(Duration::from_millis(300));
        let events = events(whole_lines(&run.log()));
        let count = |text: &str| events.iter().filter(|event| message(event).starts_with(text)).count();
        let over = count("the attempt is over");
        // A commit whose process dies before its message is found again as another attempt's.
        let is_busy = count("handed out") > over && committed_shards(job) == over;
        if !is_busy {
            signal("-CONT");
        }
        is_busy
    });
    signal("-KILL");
}

/// The log up to its last complete line.
fn whole_lines(log: &str) -> &str {
    &log[..log.rfind('\n').map_or(0, |end| end + 1)]
}

#[test]
fn every_line_is_json_and_parent_and_device_tell_of_an_attempt_in_the_same_words() {
    let job = job_of(12, 40);
    let mut command = job.command("run");
    command.args(["--json", "--log-format", "json"]).env("CAPFILT_LOG", "info");
    let mut run = Process::start(&job, "run", &mut command);
    wait_until(|| committed_shards(&job) >= 2);
    kill_device_in_the_middle_of_an_attempt(&job, &run);
    assert_eq!(run.code(), Some(0), "{}", run.log());

    let events = events(&run.log());
    let said = |text: &str| {
        let of = events.iter().filter(|event| message(event).starts_with(text));
        of.filter_map(attempt).collect::<BTreeMap<String, [String; 3]>>()
    };
    let (begun, committed, over) = (said("handed out"), said("committed"), said("the attempt is over"));
    assert_eq!(committed.len(), 12);
    assert!(
        committed.iter().all(|(id, fields)| begun[id] == *fields && over[id] == *fields),
        "{begun:?}\n{over:?}"
    );
    assert!(begun.len() > 12, "the killed worker's shard was handed out again");

    let killed: BTreeSet<String> = events
        .iter()
        .filter(|event| message(event).starts_with("worker_killed"))
        .map(|event| attempt(event).unwrap().0)
        .collect();
    // The blame falls on every shard that had rows in process: one or two.
    assert!((1..=2).contains(&killed.len()), "{killed:?}");
    assert!(killed.iter().all(|id| begun.contains_key(id) && !committed.contains_key(id)));
    assert!(
        events.iter().any(|event| event["level"] == "WARN" && event["fields"]["class"] == "worker_killed")
    );
}

#[test]
fn what_a_json_log_ends_with_is_json_too() {
    let job = Job::over_web().set(&["models.filter=/nowhere/filter"]);
    let output = crate::support::expect(job.command("run").args(["--log-format", "json"]), 3);
    let last: Value = serde_json::from_str(crate::support::stderr(&output).lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(message(&last).contains("/nowhere/filter"), "{last}");
}
