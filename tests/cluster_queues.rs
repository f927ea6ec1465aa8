//! A job that is planned and not begun, and queues that stopped jobs leave behind.

use crate::support::capfilt;
use crate::support::{
    expect,
    nats::Nats,
    process::{Process, coordinator},
    shared::{SHARDS, assert_whole, shared_job},
    stderr, stdout,
};
use serde_json::Value;

#[test]
fn a_job_is_planned_without_work_so_that_parts_of_it_can_begin_and_status_says_to_seal() {
    let job = shared_job();
    let said = stderr(&expect(job.command("run").arg("--plan-only"), 0));
    assert!(said.contains("the job is planned; `capfilt worker` processes its shards"), "{said}");
    assert!(job.objects.join("job.json").exists() && !job.objects.join("commits").exists());
    let status = || stdout(&expect(&mut job.command_by_url("status"), 0));
    assert!(status().contains(&format!("{SHARDS} open")), "{}", status());
    for part in ["0/2", "1/2"] {
        expect(job.command_by_url("worker").args(["--device", "cpu", "--part", part]), 0);
    }
    assert!(status().contains("not sealed: run `capfilt run` to seal"), "{}", status());
    // Planned once: the same command changes nothing.
    expect(job.command("run").arg("--plan-only"), 0);
    job.run();
    assert_whole(&job);
    assert!(status().contains("manifests/0.json"), "{}", status());
}

#[test]
fn gc_removes_the_queues_of_stopped_jobs_and_leaves_those_in_use() {
    let Some(nats) = Nats::start() else { return };
    let [stopped, running] = [shared_job(), shared_job()];
    // Two jobs of one content would share a queue.
    let running = running.set(&["job.seed=1"]);
    let mut ended = coordinator(&stopped, &nats);
    ended.wait_for("no worker is there");
    ended.signal("-TERM");
    assert_eq!(ended.code(), Some(130), "{}", ended.log());
    let mut watching: Process = coordinator(&running, &nats);
    watching.wait_for("no worker is there");
    let gc = |args: &[&str]| -> Value {
        let mut gc = capfilt();
        gc.args(["gc", "--json", "--cluster", &nats.url()]).args(args);
        serde_json::from_str(&stdout(&expect(&mut gc, 0))).unwrap()
    };
    let found = gc(&[]);
    let streams = found["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 1, "{found}");
    assert_eq!((&streams[0]["job"], &streams[0]["messages"]), (&stopped.url.as_str().into(), &SHARDS.into()));
    assert_eq!(gc(&["--job", &running.url, "--delete"])["streams"], serde_json::json!([]), "it is in use");
    assert_eq!(gc(&["--job", &stopped.url, "--delete"])["streams"].as_array().unwrap().len(), 1);
    assert_eq!(gc(&[])["streams"], serde_json::json!([]), "one is removed, the other in use");
    assert!(nats.queue().is_some(), "the running job's queue was removed");
}
