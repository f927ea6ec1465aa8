//! The bounds of a report over a million rows: run with `--ignored --nocapture`, on a quiet machine.
//! `benches/large.py` sets `CAPFILT_LARGE_FILES` and `CAPFILT_LARGE_FOLDER`.

use crate::support::{Row, World, judged};
use bytes::Bytes;
use capfilt_report::{Options, write};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::time::Instant;

/// Number of input files of a million rows.
const FILES: u64 = 10;
const ROWS: u64 = 100_000;

/// Largest page in bytes, and longest time in seconds on two cores.
const PAGE_BYTES: usize = 8 << 20;
const SECONDS: f64 = 30.0;

/// A row with texts of realistic lengths: eight words, and every ninth text repeated. Its image is a small
/// picture, of which there are 251.
fn row(pictures: &[Bytes], file: &str, number: u64) -> Row {
    let words =
        ["dog", "on", "a", "red", "bicycle", "street", "photo", "stock", "vintage", "chair", "of", "the"];
    let seed = file.bytes().fold(number, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut dice = StdRng::seed_from_u64(seed);
    let text = |dice: &mut StdRng| {
        let count = if dice.random_bool(0.1) { 2 } else { 8 };
        (0..count).map(|_| *words.choose(dice).unwrap()).collect::<Vec<_>>().join(" ")
    };
    let score = |dice: &mut StdRng| {
        let x = dice.random_range(0.0..1.0f32);
        if dice.random_bool(0.5) { x.powi(6) } else { 1.0 - x.powi(6) }
    };
    let (web, synthetic) = (text(&mut dice), text(&mut dice));
    let texts = [("caption", web.as_str(), score(&mut dice)), ("synthetic", &synthetic, score(&mut dice))];
    let mut row = judged(number, &texts);
    row.image = pictures[(seed % 251) as usize].clone();
    row.control = Some(dice.random_range(0.0..1.0f32).powi(8));
    row
}

/// Writes a finished job with `files` input files.
async fn job(world: &World, files: u64) {
    let pictures: Vec<Bytes> = (0..=250).map(crate::support::picture).collect();
    let blank: Vec<Row> = (0..ROWS).map(|number| Row { texts: vec![], ..judged(number, &[]) }).collect();
    (0..files).for_each(|file| world.write_input(&format!("{file}.parquet"), &blank, 10_000));
    let begun = Instant::now();
    world.finish(|shard, number| row(&pictures, &shard.file.path, number), |_| ()).await;
    println!("{} rows in {:.1} s", files * ROWS, begun.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes a job of a million rows: two minutes and 1 GB"]
async fn a_report_of_a_million_rows_takes_thirty_seconds_and_eight_megabytes() {
    let world = World::new(&["shards.rows=20000"]);
    job(&world, FILES).await;
    let file = world.folder.path().join("report.html");
    // The peak of memory is then that of the report.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let begun = Instant::now();
    let written = write(&world.bucket(), &Options::default(), Some(&file)).await.unwrap();
    let (seconds, bytes) = (begun.elapsed().as_secs_f64(), written.page_bytes);
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("report: {seconds:.1} s, page of {bytes} bytes, {peak}");
    assert_eq!(written.statistics.rows, FILES * ROWS);
    assert!(bytes <= PAGE_BYTES && seconds <= SECONDS);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "leaves a job of a million rows or more in a folder, for benches/large.py"]
async fn a_large_job_is_left_for_measurements() {
    let folder = std::env::var("CAPFILT_LARGE_FOLDER").expect("CAPFILT_LARGE_FOLDER names an empty folder");
    let files = std::env::var("CAPFILT_LARGE_FILES").map_or(FILES, |files| files.parse().unwrap());
    let mut world = World::within(std::path::Path::new(&folder), &["shards.rows=20000"]);
    world.folder.disable_cleanup(true);
    job(&world, files).await;
    println!("job {}", world.settings.job.url);
}
