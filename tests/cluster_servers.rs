//! Three nats-servers that keep a job's queue together: one of them may die.

use crate::support::{
    Job,
    nats_cluster::NatsCluster,
    process::{Process, committed_shards, coordinate, wait_until, work},
    shared::{SHARDS, assert_whole, shared_job},
};
use std::time::{Duration, Instant, SystemTime};

#[test]
fn a_server_of_three_that_is_killed_stops_nobody_and_loses_nothing() {
    let Some(mut cluster) = NatsCluster::start() else { return };
    let job = shared_job();
    let url = cluster.url();
    let mut coordinator =
        Process::start(&job, "coordinator", coordinate(&job, &url).args(["--ack-wait", "6"]));
    let mut workers = ["a", "b"].map(|name| Process::start(&job, name, &mut work(&job, &url)));
    wait_until(|| committed_shards(&job) >= 2);
    // A queue that has not reached all servers yet is not kept by three.
    wait_until(|| cluster.is_whole());
    let leader = cluster.wait_for_leader();
    let queue = cluster.servers[leader].queue().unwrap();
    assert_eq!(queue["config"]["num_replicas"], 3, "{queue}");
    cluster.servers[leader].down();
    let (killed, done) = (Instant::now(), committed_shards(&job));
    cluster.wait_for_leader();
    println!("a new leader after {:.1} s", killed.elapsed().as_secs_f64());
    wait_until(|| committed_shards(&job) >= (done + 6).min(SHARDS));
    cluster.servers[leader].up();
    assert_eq!(coordinator.code(), Some(0), "{}", coordinator.log());
    for worker in &mut workers {
        assert_eq!(worker.code(), Some(0), "{}", worker.log());
    }
    assert!(done < SHARDS - 6, "the job was nearly done before the server was killed");
    assert!(!coordinator.log().contains("queue was gone"), "{}", coordinator.log());
    println!("longest time between two commits: {:.1} s", longest_gap(&job).as_secs_f64());
    assert_whole(&job);
}

fn longest_gap(job: &Job) -> Duration {
    let commits = std::fs::read_dir(job.objects.join("commits")).unwrap();
    let mut times: Vec<SystemTime> = commits
        .map(|shard| shard.unwrap().path().join("0.json").metadata().unwrap().modified().unwrap())
        .collect();
    times.sort();
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap()).max().unwrap()
}
