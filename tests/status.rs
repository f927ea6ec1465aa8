//! `capfilt status`: from the bucket only, and live from the cluster.

use crate::support::{
    Job, capfilt, expect,
    nats::Nats,
    process::{Process, committed_shards, coordinator, wait_until, worker},
    shared::job_of,
    stdout,
    tables::counted,
};
use serde_json::Value;

/// Twelve shards.
fn job() -> Job {
    job_of(12, 40)
}

fn status(job: &Job, args: &[&str]) -> Value {
    serde_json::from_str(&stdout(&expect(job.command_by_url("status").arg("--json").args(args), 0))).unwrap()
}

#[test]
fn a_finished_job_s_status_tells_what_its_manifest_and_its_commits_do() {
    let job = job();
    job.run();
    let status = status(&job, &[]);
    assert_eq!((&status["done"], &status["live"]), (&true.into(), &Value::Null));
    for (what, planned) in [("shards", 12), ("rows", 480)] {
        let states = ["planned", "committed", "open", "quarantined"]
            .map(|state| status[what][state].as_u64().unwrap());
        assert_eq!(states, [planned, planned, 0, 0], "{what}");
    }
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(job.objects.join("manifests/0.json")).unwrap()).unwrap();
    let (kept, tally) = (&status["kept"], &manifest["tally"]);
    assert_eq!(kept["pairs"], tally["pairs"]);
    for source in ["caption", "synthetic"] {
        let [expected, judged, _] = counted(tally, source);
        let found = &kept["texts"][source];
        assert_eq!((&found["kept"], &found["judged"]), (&expected.into(), &judged.into()), "{source}");
        let share = expected as f64 / judged as f64;
        assert!((found["share"].as_f64().unwrap() - share).abs() < 1e-12, "{source}");
    }
    assert_eq!(status["rows_by_status"], tally["rows"]);
    assert_eq!(status["counted"], serde_json::json!({"commits": 12, "read": 12, "is_estimate": false}));

    let pace = &status["pace"];
    assert!(pace["images_per_second"].as_f64().unwrap() > 0.0 && pace["seconds_left"].is_null());
    let device: f64 =
        commits(&job).iter().map(|commit| commit["timings"]["device_seconds"].as_f64().unwrap()).sum();
    assert!((pace["stage_seconds"]["device"].as_f64().unwrap() - device).abs() < 1e-6);
    let workers = pace["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 1);
    assert_eq!((&workers[0]["worker"], &workers[0]["batch"]), (&commits(&job)[0]["worker"], &16.into()));

    let text = stdout(&expect(&mut job.command_by_url("status"), 0));
    for expected in
        ["12 of 12 committed, 0 quarantined, 0 open", "img/s by 1 workers", "device ", "manifests/0.json"]
    {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

fn commits(job: &Job) -> Vec<Value> {
    let folders = std::fs::read_dir(job.objects.join("commits")).unwrap();
    folders
        .map(|shard| {
            serde_json::from_slice(&std::fs::read(shard.unwrap().path().join("0.json")).unwrap()).unwrap()
        })
        .collect()
}

#[test]
fn who_watches_without_a_terminal_gets_a_line_per_look_until_the_job_is_done() {
    let job = job();
    let mut run = Process::start(&job, "run", &mut job.command("run"));
    wait_until(|| job.objects.join("job.json").exists());
    let mut lines = Process::start(&job, "lines", job.command_by_url("status").arg("--watch"));
    let watched = expect(job.command_by_url("status").args(["--watch", "--json"]), 0);
    assert_eq!((run.code(), lines.code()), (Some(0), Some(0)), "{}\n{}", run.log(), lines.log());
    let looks: Vec<Value> =
        stdout(&watched).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let committed: Vec<u64> =
        looks.iter().map(|look| look["shards"]["committed"].as_u64().unwrap()).collect();
    assert!(committed.is_sorted(), "{committed:?}");
    let (last, before) = looks.split_last().unwrap();
    assert!(last["done"] == true && before.iter().all(|look| look["done"] == false), "{looks:?}");
    assert!(lines.log().lines().all(|line| line.contains(" of 12 shards, ")), "{}", lines.log());
    assert!(lines.log().lines().last().unwrap().starts_with("12 of 12 shards"), "{}", lines.log());
}

#[test]
fn with_the_cluster_s_url_it_tells_who_works_on_what_and_that_nobody_does() {
    let Some(mut nats) = Nats::start() else { return };
    let job = job();
    let mut coordinator = coordinator(&job, &nats);
    coordinator.wait_for("no worker is there");
    let url = nats.url();
    let live = ["--cluster", url.as_str()];
    let without_workers = status(&job, &live);
    assert_eq!(without_workers["live"]["workers"], serde_json::json!([]));
    let queue = &without_workers["live"]["queue"];
    assert_eq!(
        (&queue["messages"], &queue["pending"], &queue["idle_asks"]),
        (&12.into(), &12.into(), &0.into())
    );
    assert!(without_workers["pace"].is_null() && without_workers["shards"]["open"] == 12);
    let text = stdout(&expect(job.command_by_url("status").args(live), 0));
    assert!(text.contains("no worker is there"), "{text}");

    let busy = worker(&job, &nats, "busy");
    wait_until(|| committed_shards(&job) >= 1);
    // So that the job cannot end before the next status: the worker keeps its shards and continues
    // reporting.
    let devices = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", busy.child.id())).unwrap();
    let device: u32 = devices.split_whitespace().next().unwrap().parse().unwrap();
    signal(device, "-STOP");
    let working = status(&job, &live);
    let worker = &working["live"]["workers"][0];
    assert_eq!((&worker["devices"], &worker["devices_ready"]), (&serde_json::json!(["cpu"]), &1.into()));
    let held = &worker["in_hand"][0];
    assert_eq!(held["device"], "cpu");
    assert_eq!(held["shard"].as_str().unwrap().len(), 20, "{held}");
    assert!(worker["seconds_since_heard"].as_f64().unwrap() < 3.0, "{worker}");
    assert!(
        working["shards"]["open"].as_u64().unwrap() > 0,
        "the job was done before its worker was stopped"
    );
    signal(device, "-CONT");
    assert_eq!(coordinator.code(), Some(0), "{}", coordinator.log());

    // Without the server, the bucket still answers.
    nats.down();
    let output = expect(job.command_by_url("status").arg("--json").args(live), 0);
    let status: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(status["done"] == true && status["live"].is_null());
    assert!(
        crate::support::stderr(&output).contains("from the bucket only"),
        "{}",
        crate::support::stderr(&output)
    );
}

fn signal(pid: u32, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_job_that_is_not_there_is_said_not_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut status = capfilt();
    status.args(["status", "--job"]).arg(folder.path());
    let output = expect(&mut status, 3);
    assert!(
        crate::support::stderr(&output).contains("there is no job"),
        "{}",
        crate::support::stderr(&output)
    );
}
