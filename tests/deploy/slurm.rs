//! Slurm's recipe on a real Slurm.

mod daemons;

use super::{assert_options_exist, assert_whole, cluster_env, nats, recipes};
use crate::support::{
    Job, expect,
    process::{committed_shards, wait_until},
    repo, stdout,
};
use daemons::Slurm;
use std::{path::Path, process::Command};

/// Runs the lines of the page's section on Slurm as they stand, in a copy of the recipes and with a home of
/// its own; the editor writes `variables`. Numbers of the jobs that were submitted, in order.
fn follow_the_page(slurm: &Slurm, variables: &Path, settings: &Path) -> Vec<String> {
    let page = std::fs::read_to_string(recipes().join("README.md")).unwrap();
    let (_, section) = page.split_once("**Slurm.**").unwrap();
    let (_, lines) = section.split_once("```sh\n").unwrap();
    let (lines, _) = lines.split_once("```").unwrap();
    let (home, editor) = (slurm.path("home"), slurm.path("editor"));
    std::fs::create_dir(&home).unwrap();
    std::fs::copy(settings, home.join("job.toml")).unwrap();
    std::fs::write(&editor, format!("#!/bin/sh\ncat {} > \"$1\"\n", variables.display())).unwrap();
    expect(Command::new("chmod").arg("755").arg(&editor), 0);
    expect(Command::new("cp").arg("-r").arg(repo().join("configs")).arg(slurm.path("configs")), 0);
    let mut shell = slurm.command("bash");
    shell.args(["-euc", lines]).env("HOME", &home).env("EDITOR", &editor);
    let said = stdout(&expect(&mut shell, 0));
    said.lines().filter_map(|line| line.strip_prefix("Submitted batch job ")).map(str::to_owned).collect()
}

#[test]
fn slurm_s_array_outlives_preemption_and_time_limits_and_a_cancelled_worker_stays_away() {
    let Some(slurm) = Slurm::start() else { return };
    let Some(nats) = nats() else { return };
    let job = Job::over_web();
    let variables = cluster_env(&job, &nats);
    let settings = std::fs::read_to_string(job.config()).unwrap() + "[shards]\nrows = 200\n";
    std::fs::write(job.config(), settings).unwrap();
    let submitted = follow_the_page(&slurm, &variables, &job.config());
    let [coordinator, array] = &submitted[..] else { panic!("{submitted:?}") };
    let (cancelled, other) = (format!("{array}_0"), format!("{array}_1"));
    wait_until(|| committed_shards(&job) >= 1);
    expect(slurm.command("scancel").arg(&cancelled), 0);
    // This job needs all four GPUs, and its partition preempts the workers that hold three of them.
    let urgent =
        ["--partition=urgent", "--gres=gpu:4", "--mem=1G", "--time=1", "--output=/dev/null", "--wrap=true"];
    expect(slurm.command("sbatch").args(urgent), 0);
    let log = slurm.submitted_from().join(format!("capfilt-worker-{array}_1.log"));
    let log = || std::fs::read_to_string(&log).unwrap();
    wait_until(|| log().split_once("DUE TO PREEMPTION").is_some_and(|(_, again)| again.contains("is ready")));
    assert!(committed_shards(&job) < 12, "the job was done before all that happened\n{}", slurm.logs());
    // What Slurm does 60 s before the time limit, by the recipe's --signal.
    expect(slurm.command("scancel").args(["--batch", "--signal=TERM", &other]), 0);
    // Slurm may preempt the coordinator with the workers.
    slurm.wait_for(coordinator, &["0", "1"], "COMPLETED");
    slurm.wait_for(&other, &["2"], "COMPLETED");
    slurm.wait_for(&cancelled, &["0"], "CANCELLED");
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
