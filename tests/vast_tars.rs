//! Tars of many gigabytes are planned by their headers.

use crate::support::{Job, tables::json_of};
use serde_json::json;
use std::{
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::{Duration, Instant},
};

#[test]
fn twenty_gigabytes_are_planned_in_seconds_and_split_without_reading_payload() {
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("vast.tar");
    let samples = vast(&tar, 20 << 30, 512 << 10);
    let started = Instant::now();
    let job = Job::over(&tar.display().to_string()).set(&["shards.rows=5000"]);
    let planned = json_of(job.command("plan").arg("--json"));
    let seconds = started.elapsed();
    println!("{samples} samples in {seconds:?}");
    assert_eq!((&planned["rows"], &planned["rows_exact"]), (&json!(samples), &json!(true)));
    assert_eq!(planned["shards"], samples.div_ceil(5000));
    assert!(seconds < Duration::from_secs(30), "planning took {seconds:?}");
}

/// A sparse file with a tar of that size, whose images are holes.
fn vast(path: &Path, bytes: u64, image_bytes: u64) -> u64 {
    let mut file = File::create(path).unwrap();
    let samples = bytes / (image_bytes + 2048);
    for sample in 0..samples {
        for (suffix, size) in [("txt", 20), ("jpg", image_bytes)] {
            let mut block = [0; 512];
            let name = format!("{sample:09}.{suffix}");
            block[..name.len()].copy_from_slice(name.as_bytes());
            block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
            block[156] = b'0';
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            file.write_all(&block).unwrap();
            file.seek(SeekFrom::Current(u64::next_multiple_of(size, 512) as i64)).unwrap();
        }
    }
    let end = file.stream_position().unwrap() + 1024;
    file.set_len(end).unwrap();
    samples
}
