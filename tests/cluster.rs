//! A job shared by processes over a real nats-server: processes may join, leave or be killed, and the result
//! is the same bytes.

use crate::support::{
    nats::Nats,
    process::{committed_shards, coordinator, wait_until, worker},
    shared::{SHARDS, assert_whole, shared_job},
    tables::json_of,
};
use std::time::Duration;

#[test]
fn workers_that_come_before_and_after_share_a_job_and_end_with_it() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut early = worker(&job, &nats, "early");
    early.wait_for("no job at");
    let mut coordinator = coordinator(&job, &nats);
    early.wait_for("is ready");
    let mut late = worker(&job, &nats, "late");
    assert_eq!(coordinator.code(), Some(0), "{}", coordinator.log());
    assert_eq!((early.code(), late.code()), (Some(0), Some(0)), "{}\n{}", early.log(), late.log());
    assert!(coordinator.log().lines().last().unwrap().ends_with("manifests/0.json"), "{}", coordinator.log());
    assert_whole(&job);
}

#[test]
fn a_wiped_queue_a_killed_coordinator_and_a_killed_worker_lose_nothing() {
    let Some(mut nats) = Nats::start() else { return };
    let job = shared_job();
    let mut first = coordinator(&job, &nats);
    let workers = [worker(&job, &nats, "a"), worker(&job, &nats, "b")];
    wait_until(|| committed_shards(&job) >= 2);
    drop(workers);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let done = committed_shards(&job);
    nats.down();
    nats.wipe();
    nats.up();
    let mut second = coordinator(&job, &nats);
    let mut worker = worker(&job, &nats, "c");
    assert_eq!((second.code(), worker.code()), (Some(0), Some(0)), "{}\n{}", second.log(), worker.log());
    assert!(done < SHARDS, "the job was done before anything was killed");
    assert_whole(&job);
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_outlived_by_everyone() {
    let Some(mut nats) = Nats::start() else { return };
    let job = shared_job();
    let mut coordinator = coordinator(&job, &nats);
    let mut worker = worker(&job, &nats, "a");
    for done in [1, 4] {
        wait_until(|| committed_shards(&job) >= done);
        nats.down();
        // Without a server no worker gets a new shard; workers continue the shards that they hold.
        std::thread::sleep(Duration::from_secs(1));
        nats.up();
    }
    assert_eq!(
        (coordinator.code(), worker.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        worker.log()
    );
    assert_whole(&job);
}

#[test]
fn a_zombie_s_shard_is_done_elsewhere_and_the_zombie_goes_on_with_other_work() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut coordinator = coordinator(&job, &nats);
    let mut zombie = worker(&job, &nats, "zombie");
    wait_until(|| committed_shards(&job) >= 1);
    zombie.signal_all("-STOP");
    let mut other = worker(&job, &nats, "other");
    assert_eq!(
        (coordinator.code(), other.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        other.log()
    );
    zombie.signal_all("-CONT");
    assert_eq!(zombie.code(), Some(0), "{}", zombie.log());
    assert_whole(&job);
    // The worker was informed of the end of the job and dropped its shards; tables that it has written
    // are orphans.
    json_of(job.command_by_url("gc").args(["--delete", "--json"]));
    assert_whole(&job);
    let left = json_of(job.command_by_url("gc").arg("--json"));
    assert_eq!(left["objects"].as_array().unwrap().len(), 0, "{left}");
}
