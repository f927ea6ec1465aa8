//! Tests of shards with large rows, which are judged and written in bounded memory.

#![allow(clippy::unwrap_used)]

mod support;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use capfilt_schemas::{commit::Commit, object_keys, status::TextStatus, worker_protocol::Event};
use capfilt_store::Location;
use std::sync::Arc;
use support::World;

fn batch(from: usize, rows: usize, image: &[u8], text: &str) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(StringArray::from_iter_values((from..from + rows).map(|i| format!("k{i}"))))),
        ("jpg", Arc::new(BinaryArray::from_iter_values((0..rows).map(|_| image)))),
        ("caption", Arc::new(StringArray::from_iter_values((0..rows).map(|_| text)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn jpeg(bytes: usize) -> Vec<u8> {
    let mut image = include_bytes!("../../pipeline/tests/small/baseline.jpg").to_vec();
    // Decoders do not read beyond the end of the picture.
    image.resize(bytes.max(image.len()), 0);
    image
}

async fn commit_of(world: &World) -> Commit {
    let bucket = Location::open_without_links(&world.settings().job.url).unwrap();
    bucket.read_record(&object_keys::commit(&world.shards[0].id, 0)).await.unwrap()
}

/// Peak memory of this process, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A single test, because the peak is that of the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_of_large_rows_is_judged_and_written_in_bounded_memory() {
    // 2.56 GB in one row group of a few hundred kilobytes: the images share their bytes.
    let image = jpeg(10_000_000);
    let world = World::of((0..16).map(|i| batch(16 * i, 16, &image, "a dog")), 256, 1).await;
    let (events, _) = world.run_with(8, false, world.settings()).await;
    assert!(matches!(events.last(), Some(Event::Committed { rows: 256, .. })), "{:?}", events.last());
    assert_eq!(commit_of(&world).await.tally.judged(), 256);
    assert!(peak() < 2 << 30, "{} MiB", peak() >> 20);

    // 2.2 GB of texts, which are too long for the filter and are in the ledger.
    let text = "a red circle ".repeat(24_000);
    let image = jpeg(0);
    let world = World::of((0..14).map(|i| batch(500 * i, 500, &image, &text)), 7000, 1).await;
    let (events, _) = world.run_with(8, true, world.settings()).await;
    assert!(matches!(events.last(), Some(Event::Committed { rows: 7000, .. })), "{:?}", events.last());
    let tally = commit_of(&world).await.tally;
    assert_eq!((tally.judged(), tally.texts["caption"].statuses[&TextStatus::TooLong]), (7000, 7000));
    assert!(peak() < 2 << 30, "{} MiB", peak() >> 20);
}
