//! Killed at random points, from a printed seed, a job loses no row, doubles none and ends with the same bytes.

#![allow(clippy::unwrap_used)]

mod support;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    process::{Child, Stdio},
    time::Duration,
};
use support::Job;

/// Kills per seed.
const KILLS: u32 = 20;

#[test]
fn killed_workers_and_runs_lose_no_row_and_double_none() {
    let seeds: u64 = std::env::var("CAPFILT_SOAK_SEEDS").ok().map_or(1, |seeds| seeds.parse().unwrap());
    let undisturbed = Job::over_demo().set(&["shards.rows=100"]);
    let started = std::time::Instant::now();
    undisturbed.run();
    let whole_run = started.elapsed();
    for seed in 0..seeds {
        println!("seed {seed}");
        let job = Job::over_demo().set(&["shards.rows=100"]);
        disturb(&job, seed, whole_run);
        job.run();
        let verified = job.verify(0);
        assert_eq!(verified["rows"], 2400, "seed {seed}: {verified}");
        assert!(job.committed() == undisturbed.committed(), "seed {seed}: the committed tables differ");
    }
}

/// Starts runs and kills them, or their workers, after a random share of an undisturbed run's time.
fn disturb(job: &Job, seed: u64, whole_run: Duration) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut kills = 0;
    while kills < KILLS {
        let mut run = job.command("run").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        loop {
            std::thread::sleep(whole_run.mul_f64(random.random_range(0.02..0.3)));
            if run.try_wait().unwrap().is_some() {
                // Finished before it was killed: nothing is left to disturb, but what is there must hold.
                return;
            }
            kills += 1;
            let children = children_of(&run);
            if random.random_bool(0.5) || children.is_empty() {
                run.kill().unwrap();
                run.wait().unwrap();
                break;
            }
            children.iter().for_each(|pid| kill(*pid));
        }
    }
}

fn children_of(run: &Child) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", run.id());
    std::fs::read_to_string(path).unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn kill(pid: u32) {
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}
