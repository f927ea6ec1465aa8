//! Killed at random points, from a printed seed, a job loses no row, doubles none and ends with the same
//! bytes.

use crate::support::{kills, shared::job_of};
use std::time::Instant;

#[test]
fn killed_workers_and_runs_lose_no_row_and_double_none() {
    let new_job = || job_of(12, 80);
    let undisturbed = new_job();
    let started = Instant::now();
    undisturbed.run();
    let whole_run = started.elapsed().as_secs_f64();
    for seed in kills::seeds() {
        let clock = || started.elapsed().as_secs_f64() / whole_run;
        kills::survives(seed, |_| new_job(), &undisturbed.committed(), 960, clock);
    }
}
