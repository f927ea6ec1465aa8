//! Runs and workers killed at random points, from a printed seed: what must hold afterwards, wherever the job
//! is.

use super::{Committed, Job};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Kills per seed.
const KILLS: u32 = 20;

/// Limit without progress, after which a run counts as hung.
const HANGS: Duration = Duration::from_secs(300);

/// How far the next kill is away, in shares of an undisturbed run.
const SHARE_BETWEEN_KILLS: std::ops::Range<f64> = 0.01..0.12;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The parent dispatches on.
    Workers,
    /// Its workers learn of it by their pipes, and finish what they have while another run starts.
    Run,
    /// As when the machine fails.
    Machine,
}

/// Seeds to try: one, or as many as CAPFILT_SOAK_SEEDS asks for.
pub fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("CAPFILT_SOAK_SEEDS").ok().map_or(1, |seeds| seeds.parse().unwrap())
}

/// Kills a job's runs and workers a number of times, at random moments from a printed seed: some commits
/// after one another, so that at most seven kills find it unfinished, however fast this machine is.
pub fn kill_times(job: &Job, kills: u32, shards: usize, seed: u64) {
    println!("seed {seed}");
    let done = || std::fs::read_dir(job.objects.join("commits")).map_or(0, Iterator::count);
    let killed = disturb(job, kills, &mut StdRng::seed_from_u64(seed), &|| done() as f64 / shards as f64);
    assert_eq!(killed, kills, "seed {seed}: the run ended before it could be killed {kills} times");
}

/// Kills runs of new jobs, as many jobs as the kills take; each is then run to its end, and has lost no row,
/// doubled none and written the bytes of the undisturbed job.
///
/// `clock` tells how many undisturbed runs' worth of work there has been since a moment of its choice: the
/// points at which runs are killed are random shares of a run, however fast this machine is.
pub fn survives(
    seed: u64,
    new_job: impl Fn(u32) -> Job,
    undisturbed: &Committed,
    rows: u64,
    clock: impl Fn() -> f64,
) {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut killed, mut jobs) = (0, 0);
    while killed < KILLS {
        let job = new_job(jobs);
        killed += disturb(&job, KILLS - killed, &mut random, &clock);
        job.run();
        let verified = job.verify(0);
        assert_eq!(verified["rows"], rows, "seed {seed}, job {jobs}: {verified}");
        assert!(job.committed() == *undisturbed, "seed {seed}, job {jobs}: the committed tables differ");
        jobs += 1;
        assert!(jobs <= KILLS, "seed {seed}: runs end before they can be killed");
    }
    println!("{killed} kills of {jobs} jobs");
}

/// Runs a job again and again and kills each run, or its workers; ends with the job or with the last kill,
/// and returns the number of kills.
fn disturb(job: &Job, kills: u32, random: &mut StdRng, clock: &dyn Fn() -> f64) -> u32 {
    let mut killed = 0;
    while killed < kills {
        let mut run = job.command("run").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        loop {
            let until = clock() + random.random_range(SHARE_BETWEEN_KILLS);
            if has_ended_before(&mut run, until, clock) {
                return killed;
            }
            killed += 1;
            let workers = children_of(&run);
            let victim = match random.random_range(0..4) {
                // The last kill leaves no run behind.
                0 | 1 if !workers.is_empty() && killed < kills => Victim::Workers,
                0..=2 => Victim::Run,
                _ => Victim::Machine,
            };
            let commits = std::fs::read_dir(job.objects.join("commits")).map_or(0, Iterator::count);
            println!("kill {killed}: {victim:?}, after {commits} commits");
            if victim != Victim::Run {
                workers.iter().for_each(|pid| kill(*pid));
            }
            if victim != Victim::Workers {
                run.kill().unwrap();
                run.wait().unwrap();
                break;
            }
        }
    }
    killed
}

fn has_ended_before(run: &mut Child, until: f64, clock: &dyn Fn() -> f64) -> bool {
    let started = Instant::now();
    while clock() < until {
        if run.try_wait().unwrap().is_some() {
            return true;
        }
        assert!(started.elapsed() < HANGS, "the run hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
    run.try_wait().unwrap().is_some()
}

fn children_of(run: &Child) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", run.id());
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn kill(pid: u32) {
    Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}
