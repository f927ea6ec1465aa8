//! Tests of a device with too little memory: the batch is halved until it fits, and log and commit report the
//! size.

#![allow(clippy::unwrap_used)]

mod support;

use capfilt_schemas::{
    commit::Commit, failure::FailureClass, object_keys, plan::Shard, worker_protocol::Event,
};
use capfilt_store::Location;
use std::sync::{Arc, Mutex};
use support::{ROWS, World};

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_batch_is_halved_until_it_fits_and_stays_so_and_log_and_commit_tell_it() {
    let log = Log::default();
    let writer = log.clone();
    let logs = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone());
    logs.init();
    let world = World::new().await;
    let (events, asked) = world.run(3).await;

    assert_eq!(asked[..3], [8, 4, 2]);
    assert!(asked[3..].iter().all(|images| *images <= 2), "{asked:?}");
    let bucket = Location::open_without_links(&world.settings().job.url).unwrap();
    for shard in &world.shards {
        let commit: Commit = bucket.read_record(&object_keys::commit(&shard.id, 0)).await.unwrap();
        assert_eq!((commit.batch, commit.rows, commit.tally.judged()), (2, ROWS as u64, ROWS as u64));
    }
    let batches: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::Committed { cost, .. } => Some(cost.batch),
            _ => None,
        })
        .collect();
    assert_eq!(batches, [2, 2]);

    // The log is that of the process; another test's device has other shards.
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |shard: &Shard| -> Vec<&serde_json::Value> {
        lines.iter().filter(|line| line["span"]["shard"] == shard.id.as_str()).collect()
    };
    let (ours, next) = (of(&world.shards[0]), of(&world.shards[1]));
    let chosen: Vec<u64> = ours.iter().map(|line| line["fields"]["batch"].as_u64().unwrap()).collect();
    assert_eq!((chosen, next.len()), (vec![4, 2], 0), "each halving is logged once\n{text}");
    assert!(ours.iter().all(|line| line["span"]["device"] == "small"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_not_even_one_image_fails_the_attempt_and_commits_nothing() {
    let world = World::new().await;
    let (events, asked) = world.run(0).await;
    assert_eq!(asked, [8, 4, 2, 1, 1], "finally one image, for each shard");
    let classes: Vec<FailureClass> = events
        .iter()
        .filter_map(|event| match event {
            Event::Failed { failure } => Some(failure.class),
            _ => None,
        })
        .collect();
    assert_eq!(classes, [FailureClass::DeviceMemory; 2]);
    assert!(!world.folder.path().join("job/commits").exists());
}
