//! Test of the status of a job with too many commits to read.

use crate::support::World;
use capfilt_coordinator::{JobState, Plan, StatusReader, job, manifest, status};
use capfilt_schemas::{
    commit::{Commit, Output, Timings},
    object_keys::{self, AttemptId, Table},
    plan::{InputFile, Part, Shard, ShardId},
    status::{RowStatus, TextStatus},
    tally::{Tally, TextTally},
    texts::SYNTHETIC,
};
use capfilt_store::commit;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::sync::Arc;

const ROWS: u64 = 1000;

/// Number of shards; CAPFILT_STATUS_SHARDS=100000 measures a large job.
fn shards() -> u32 {
    std::env::var("CAPFILT_STATUS_SHARDS").map_or(2600, |shards| shards.parse().unwrap())
}

fn shard(i: u32) -> Shard {
    let file = Arc::new(InputFile { path: format!("{}.parquet", i / 100), etag: "1".to_owned(), bytes: 1 });
    let groups = i % 100..i % 100 + 1;
    let id = ShardId::of(&file.path, &file.etag, groups.clone());
    let (part, first_row) = (Part::RowGroups(groups), u64::from(i % 100) * ROWS);
    Shard { id, file, part, first_row, rows: ROWS, rows_exact: true, bytes: 1 }
}

fn texts(kept: u64) -> TextTally {
    TextTally { statuses: [(TextStatus::Judged, ROWS)].into(), kept }
}

/// A commit without tables, with a plausible random tally.
fn record(shard: &Shard, dice: &mut StdRng) -> Commit {
    let (web, synthetic) = (dice.random_range(100..ROWS / 2), dice.random_range(ROWS / 2..ROWS));
    let tally = Tally {
        rows: [(RowStatus::Judged, ROWS)].into(),
        texts: [("caption".to_owned(), texts(web)), (SYNTHETIC.to_owned(), texts(synthetic))].into(),
        pairs: synthetic,
    };
    let attempt = AttemptId::from_random(dice.random());
    let output = |table, rows| Output {
        table,
        path: object_keys::output(&shard.id, &attempt, table),
        bytes: 0,
        sha256: String::new(),
        rows,
    };
    Commit {
        version: capfilt_schemas::commit::VERSION,
        shard: shard.id.clone(),
        n: 0,
        attempt: attempt.clone(),
        worker: format!("w{}", dice.random_range(0..8)),
        rows: ROWS,
        outputs: vec![output(Table::Ledger, ROWS), output(Table::Pairs, tally.pairs)],
        tally,
        batch: 8,
        timings: Timings { total_seconds: 0.01, device_seconds: 0.008, ..Timings::default() },
        job: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tally_of_a_large_job_is_estimated_from_some_commits_until_a_manifest_has_it() {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let world = World::new();
    let bucket = world.bucket();
    let plan: Vec<Shard> = (0..shards()).map(shard).collect();
    let planned = Plan { rows: ROWS * plan.len() as u64, shards: plan.clone(), ..Plan::default() };
    let opened = job::create(&bucket, &world.input(), planned, world.asked()).await.unwrap();
    let mut truth = Tally::default();
    let (last, committed) = plan.split_last().unwrap();
    for shard in committed {
        let record = record(shard, &mut dice);
        commit(&bucket, &record).await.unwrap();
        truth.merge(&record.tally);
    }

    let started = std::time::Instant::now();
    let mut reader = StatusReader::open(&bucket).await.unwrap();
    let estimated = reader.read().await.unwrap();
    println!("{} shards: {:.2} s", plan.len(), started.elapsed().as_secs_f64());
    assert_eq!((estimated.shards.committed, estimated.shards.open), (committed.len() as u64, 1));
    assert_eq!((estimated.counted.read, estimated.counted.is_estimate), (2048, true));
    assert_eq!(estimated.rows_by_status, truth.rows, "every row was judged, so the estimate is exact");
    let near = |estimate: u64, truth: u64| (estimate as f64 / truth as f64 - 1.0).abs() < 0.1;
    let kept = estimated.kept;
    let is_near = |(source, texts): (&String, &TextTally)| near(kept.texts[source].kept, texts.kept);
    assert!(truth.texts.iter().all(is_near), "{kept:?} for {truth:?}");
    assert_eq!(estimated.pace.unwrap().workers.len(), 8);

    let record = record(last, &mut dice);
    commit(&bucket, &record).await.unwrap();
    truth.merge(&record.tally);
    let now = JobState::read(&bucket).await.unwrap();
    manifest::seal(&bucket, &opened.record, &plan, &now).await.unwrap();
    let started = std::time::Instant::now();
    let sealed = reader.read().await.unwrap();
    println!("again: {:.2} s", started.elapsed().as_secs_f64());
    assert!(sealed.done && !sealed.counted.is_estimate);
    let kept = |source: &str| sealed.kept.texts[source].kept;
    assert_eq!(((kept("caption"), kept(SYNTHETIC)), sealed.kept.pairs), (truth.kept(), truth.pairs));
    assert_eq!(status(&bucket).await.unwrap().kept, sealed.kept);
}
