//! The log as machines read it: every line JSON, every attempt a span.

use crate::support::{
    Job,
    process::{Process, committed_shards, wait_until},
    shared::job_of,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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

#[test]
fn every_line_is_json_and_parent_and_device_tell_of_an_attempt_in_the_same_words() {
    let job = job_of(12, 40);
    let mut command = job.command("run");
    command.args(["--json", "--log-format", "json"]).env("CAPFILT_LOG", "info");
    let mut run = Process::start(&job, "run", &mut command);
    wait_until(|| committed_shards(&job) >= 2);
    let devices = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.child.id())).unwrap();
    let device = devices.split_whitespace().next().unwrap();
    assert!(std::process::Command::new("kill").args(["-KILL", device]).status().unwrap().success());
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
    assert_eq!(killed.len(), 1);
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
