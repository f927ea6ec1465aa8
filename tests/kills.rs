//! Killed at random points, from a printed seed, a job loses no row, doubles none and ends with the same bytes.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Instant;
use support::{Job, kills};

#[test]
fn killed_workers_and_runs_lose_no_row_and_double_none() {
    let seeds: u64 = std::env::var("CAPFILT_SOAK_SEEDS").ok().map_or(1, |seeds| seeds.parse().unwrap());
    let new_job = || Job::over_demo().set(&["shards.rows=100"]);
    let undisturbed = new_job();
    let started = Instant::now();
    undisturbed.run();
    let whole_run = started.elapsed().as_secs_f64();
    for seed in 0..seeds {
        let clock = || started.elapsed().as_secs_f64() / whole_run;
        kills::survives(seed, |_| new_job(), &undisturbed.committed(), 2400, clock);
    }
}
