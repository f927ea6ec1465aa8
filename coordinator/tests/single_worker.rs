//! Tests of a worker process without a pool, with shell scripts that speak the protocol.

use crate::support::World;
use capfilt_coordinator::dispatch::{
    single_worker::SingleWorker,
    worker_process::{ExitCause, WorkerMessage},
};
use capfilt_schemas::{
    object_keys::AttemptId,
    worker_protocol::{Assignment, Event},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::process::Command;

/// A process that commits every shard.
const COMMITS: &str = r#"echo 'a line for people' >&2
while IFS= read -r line; do
  id=${line#*\"id\":\"}; id=${id%%\"*}
  tally='{"rows":{"judged":10},"web":{},"web_kept":0,"synthetic":0,"synthetic_kept":0,"pairs":0}'
  ids="\"shard\":\"$id\",\"attempt\":\"a-1\""
  echo "{\"event\":\"committed\",$ids,\"rows\":10,\"superseded\":false,\"tally\":$tally}"
done"#;

async fn start(script: &str, shards: usize) -> (World, SingleWorker) {
    let world = World::new();
    world.write_input("a.parquet", 10 * shards, 10);
    let plan = world.open().await.unwrap().plan;
    assert_eq!(plan.len(), shards);
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("FOLDER", world.folder.path());
    let assignments = plan.into_iter().map(|shard| Assignment::of(shard, AttemptId("a-1".to_owned())));
    let worker = SingleWorker::start(command, assignments).unwrap();
    (world, worker)
}

#[tokio::test]
async fn every_shard_is_handed_out_and_then_the_process_ends() {
    let (_world, mut worker) = start(COMMITS, 5).await;
    let (mut committed, mut lines, mut exit) = (0, Vec::new(), None);
    while let Some(message) = worker.next().await {
        assert!(exit.is_none(), "a message follows the exit: {message:?}");
        match message {
            WorkerMessage::Event(Event::Committed { rows, .. }) => committed += rows,
            WorkerMessage::Event(event) => panic!("{event:?}"),
            WorkerMessage::Line(line) => lines.push(line),
            WorkerMessage::Exited(how) => exit = Some(how.cause),
        }
    }
    assert_eq!(
        (committed, lines, exit),
        (50, vec!["a line for people".to_owned()], Some(ExitCause::Finished))
    );
}

#[tokio::test]
async fn the_end_of_a_trial_is_the_end_of_its_process() {
    let (world, mut worker) = start("echo $$ >\"$FOLDER/pid\"; echo begun; exec sleep 1000", 1).await;
    assert!(matches!(worker.next().await, Some(WorkerMessage::Line(line)) if line == "begun"));
    let from = Instant::now();
    worker.end().await;
    assert!(from.elapsed() < Duration::from_secs(60), "the process was not killed");
    let pid = std::fs::read_to_string(world.folder.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the process is still running");
}
