//! Members of a shared job: workers that leave, no worker, and more than one coordinator.

use crate::support::{
    Job, expect,
    nats::Nats,
    process::{Process, committed_shards, coordinate, wait_until, work, worker},
    shared::{SHARDS, assert_whole, shared_job},
    stdout,
};
use capfilt_coordinator::dispatch::cluster::Connection;
use capfilt_schemas::{plan::ShardId, queue_protocol::QueueNames};

/// Longer than any test takes: a shard that comes back sooner was given back.
const NEVER: &str = "3600";

fn patient_coordinator(job: &Job, nats: &Nats, name: &str) -> Process {
    Process::start(job, name, coordinate(job, &nats.url()).args(["--ack-wait", NEVER]))
}

/// Shards that the queue has given out once more, and those it has not given out yet.
fn again_and_never(nats: &Nats) -> (u64, u64) {
    let consumer = &nats.queue().unwrap()["consumer_detail"][0];
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let delivered = &consumer["delivered"];
    let again = number(&delivered["consumer_seq"]) - number(&delivered["stream_seq"]);
    (again, number(&consumer["num_pending"]))
}

#[test]
fn a_worker_that_is_told_to_go_gives_its_shards_back_at_once() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut coordinator = patient_coordinator(&job, &nats, "coordinator");
    let mut leaving = Process::start(&job, "leaving", work(&job, &nats.url()).args(["--grace", "0"]));
    wait_until(|| committed_shards(&job) >= 1);
    leaving.signal("-TERM");
    assert_eq!(leaving.code(), Some(130), "{}", leaving.log());
    let (again, never) = again_and_never(&nats);
    assert!(again == 0 && never > 0, "the job was nearly done before anyone left");
    let mut staying = worker(&job, &nats, "staying");
    // Returned shards come before shards without an attempt. Copies for idle workers come after both.
    let mut seen = (0, 0);
    wait_until(|| {
        seen = again_and_never(&nats);
        seen.0 > 0 || seen.1 == 0
    });
    assert!(seen.0 > 0, "nothing was given back");
    assert_eq!(
        (coordinator.code(), staying.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        staying.log()
    );
    assert_whole(&job);
}

#[test]
fn a_job_without_workers_waits_for_one_and_its_status_can_be_told() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut coordinator = patient_coordinator(&job, &nats, "coordinator");
    coordinator.wait_for("no worker is there");
    let shown = stdout(&expect(&mut job.command_by_url("status"), 0));
    assert!(shown.contains("0 of 24 committed") && shown.contains("24 open"), "{shown}");
    let shown = stdout(&expect(job.command_by_url("status").arg("--json"), 0));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["shards"]["open"], &shown["rows"]["open"]), (&SHARDS.into(), &(20 * SHARDS).into()));
    assert_eq!(shown["done"], false);
    let mut worker = worker(&job, &nats, "worker");
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
fn two_coordinators_know_of_each_other_and_both_end_with_the_job() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut first = patient_coordinator(&job, &nats, "first");
    first.wait_for("planned");
    let mut second = patient_coordinator(&job, &nats, "second");
    let (first_id, second_id) = (first.child.id(), second.child.id());
    first.wait_for(&format!("-{second_id}, has been running on this job"));
    second.wait_for(&format!("-{first_id}, has been running on this job"));
    let mut workers = [worker(&job, &nats, "a"), worker(&job, &nats, "b")];
    assert_eq!((first.code(), second.code()), (Some(0), Some(0)), "{}\n{}", first.log(), second.log());
    for worker in &mut workers {
        assert_eq!(worker.code(), Some(0), "{}", worker.log());
    }
    for coordinator in [&first, &second] {
        assert!(coordinator.log().trim_end().ends_with("manifests/0.json"), "{}", coordinator.log());
    }
    assert_whole(&job);
    // A shard goes out once, and once more near the end, when a worker would be idle.
    for shard in std::fs::read_dir(job.objects.join("attempts")).unwrap() {
        let attempts = std::fs::read_dir(shard.unwrap().path()).unwrap().count();
        assert!(attempts <= 2, "a shard was tried {attempts} times");
    }
}

#[test]
fn a_second_coordinator_goes_on_when_the_first_is_killed() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut first = patient_coordinator(&job, &nats, "first");
    first.wait_for("planned");
    let mut second = patient_coordinator(&job, &nats, "second");
    second.wait_for("another coordinator");
    let mut worker = worker(&job, &nats, "worker");
    wait_until(|| committed_shards(&job) >= 1);
    first.child.kill().unwrap();
    assert_eq!((second.code(), worker.code()), (Some(0), Some(0)), "{}\n{}", second.log(), worker.log());
    assert_whole(&job);
}

#[tokio::test]
async fn a_worker_of_another_release_stops_and_names_both_versions() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut coordinator = patient_coordinator(&job, &nats, "coordinator");
    coordinator.wait_for("no worker is there");
    // The same place in the queue, filled by a coordinator that is years ahead.
    let names = QueueNames::of(&std::fs::read(job.objects.join("job.json")).unwrap());
    let shard = ShardId::of("a.parquet", "1", 0..1);
    let foreign = r#"{"version":9,"program":"7.5.0","shards":["in another form"]}"#;
    let link = Connection { url: nats.url(), ..Connection::default() };
    let client = link.connect(|_| {}).await.unwrap();
    let taken_in = client.request(names.again(&shard), foreign.into()).await.unwrap();
    assert!(!String::from_utf8_lossy(&taken_in.payload).contains("error"), "{taken_in:?}");
    let mut worker = worker(&job, &nats, "worker");
    assert_eq!(worker.code(), Some(3), "{}", worker.log());
    let own = concat!("this capfilt ", env!("CARGO_PKG_VERSION"));
    for said in ["version 9 (capfilt 7.5.0)", own, "the same release on every machine"] {
        assert!(worker.log().contains(said), "{said}: {}", worker.log());
    }
}
