//! Slurm's recipe on a real Slurm.

mod daemons;

use super::{assert_options_exist, assert_whole, cluster_env, job, nats, recipes};
use crate::support::{
    expect,
    process::{committed_shards, wait_until},
    stdout,
};
use daemons::Slurm;
use std::path::Path;

/// A copy of the recipe where its logs may lie, submitted from there as a user does.
struct Recipe<'a> {
    slurm: &'a Slurm,
    variables: &'a Path,
}

impl<'a> Recipe<'a> {
    fn install(slurm: &'a Slurm, variables: &'a Path) -> Self {
        for file in std::fs::read_dir(recipes().join("slurm")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), slurm.folder.path().join(file.file_name())).unwrap();
        }
        Self { slurm, variables }
    }

    /// Submits a job; its number.
    fn submit(&self, arguments: &[&str]) -> String {
        let mut sbatch = self.slurm.command("sbatch");
        sbatch.arg("--parsable").args(arguments).env("CAPFILT_ENV", self.variables);
        stdout(&expect(&mut sbatch, 0)).trim().to_owned()
    }
}

#[test]
fn slurm_s_array_outlives_preemption_and_time_limits_and_a_cancelled_worker_stays_away() {
    let Some(slurm) = Slurm::start() else { return };
    let Some(nats) = nats() else { return };
    let job = job();
    let variables = cluster_env(&job, &nats);
    let recipe = Recipe::install(&slurm, &variables);
    let settings = job.config().display().to_string();
    let coordinator = recipe.submit(&["coordinator.sbatch", &settings, "-s", &job.overrides[0]]);
    let array = recipe.submit(&["--array=0-1", "workers.sbatch"]);
    let (cancelled, other) = (format!("{array}_0"), format!("{array}_1"));
    wait_until(|| committed_shards(&job) >= 1);
    expect(slurm.command("scancel").arg(&cancelled), 0);
    // It wants both GPUs, and is worth more than who has one.
    recipe.submit(&["--partition=urgent", "--gres=gpu:2", "--mem=1G", "--time=1", "--output=/dev/null", "--wrap=true"]);
    let log = slurm.path(&format!("capfilt-worker-{array}_1.log"));
    let log = || std::fs::read_to_string(&log).unwrap();
    wait_until(|| log().split_once("DUE TO PREEMPTION").is_some_and(|(_, again)| again.contains("is ready")));
    assert!(committed_shards(&job) < 12, "the job was done before all that happened\n{}", slurm.logs());
    // What Slurm does 60 s before the time limit, by the recipe's --signal.
    expect(slurm.command("scancel").args(["--batch", "--signal=TERM", &other]), 0);
    for (id, restarts, ending) in
        [(&coordinator, "0", "COMPLETED"), (&other, "2", "COMPLETED"), (&cancelled, "0", "CANCELLED")]
    {
        slurm.wait_for(id, restarts, ending);
    }
    assert_whole(&job);
    let logs = slurm.logs();
    assert!(logs.contains("goes back into the queue") && logs.contains("manifests/0.json"), "{logs}");
    assert!(!logs.contains(super::NATS_PASSWORD), "{logs}");
}

#[test]
fn slurm_s_scripts_give_the_program_options_that_it_has() {
    for script in ["coordinator.sbatch", "workers.sbatch"] {
        let text = std::fs::read_to_string(recipes().join("slurm").join(script)).unwrap();
        let words = text.lines().last().unwrap().split_once(" capfilt ").unwrap().1;
        assert_options_exist(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    }
}
