//! Ray's recipe on a real Ray cluster of one node that says it has two GPUs.

use super::{assert_options_exist, cluster_env, nats, path, python, recipes};
use crate::support::{
    Job, expect,
    process::{Process, committed_shards, wait_until},
    shared::job_of,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Shards of the job, and rows of a shard: enough that the workers can die and be replaced before the end.
const SHARDS: usize = 12;
const ROWS: usize = 80;

/// Two seconds are promised; the rest is for a machine that runs other tests meanwhile.
const HANDED_BACK: Duration = Duration::from_secs(4);

/// A node, ended with all its processes when it is dropped.
struct Ray {
    node: Process,
    python: PathBuf,
    address: String,
    /// Any process that reaches a cluster's port may run programs there, and Ray listens on all addresses.
    token: String,
}

impl Ray {
    fn start(job: &Job, python: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let mut ray = Command::new(python.with_file_name("ray"));
        ray.args(["start", "--head", "--block", "--node-ip-address=127.0.0.1", &format!("--port={port}")]);
        ray.args(["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]);
        ray.args(["--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=100000000"]);
        ray.args(["--num-cpus=8", "--num-gpus=2", "--temp-dir"]).arg(job.folder.path().join("ray"));
        with_token(&mut ray, &token);
        let mut node = Process::start(job, "ray", ray.env("PATH", path()));
        node.wait_for("Ray runtime started");
        Self { node, python: python.to_owned(), address: format!("127.0.0.1:{port}"), token }
    }

    /// The recipe's script, with the variables a user has exported.
    fn workers(&self, job: &Job, variables: &Path, name: &str, options: &[&str]) -> Process {
        let variables = std::fs::read_to_string(variables).unwrap();
        let variables: Vec<(&str, &str)> =
            variables.lines().map(|line| line.split_once('=').unwrap()).collect();
        let value = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).unwrap().1;
        let mut script = Command::new(&self.python);
        script.arg(recipes().join("ray/workers.py")).args(["--address", &self.address]);
        script.args(["--job", value("CAPFILT_JOB"), "--cluster", value("CAPFILT_CLUSTER")]);
        // On a machine without a GPU the worker takes the CPU, and Ray's two are numbers.
        script.args(["--device", "auto"]).args(options).envs(variables.iter().copied());
        with_token(&mut script, &self.token);
        Process::start(job, name, &mut script)
    }
}

impl Drop for Ray {
    fn drop(&mut self) {
        // The node ends its processes after SIGTERM; after SIGKILL they would stay.
        self.node.signal("-TERM");
        self.node.code();
    }
}

fn with_token(command: &mut Command, token: &str) {
    command.envs([("RAY_AUTH_MODE", "token"), ("RAY_AUTH_TOKEN", token)]);
}

/// Processes of `capfilt worker` at this job.
fn worker_pids(job: &Job) -> Vec<u32> {
    let words = ["worker", "--job", &job.url].map(|word| format!("{word}\0")).concat();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let is_ours = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&words))
    };
    // Ray's own processes and the script have other words before these.
    let is_program = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "capfilt")
    };
    processes.filter_map(|name| name.parse().ok()).filter(is_ours).filter(is_program).collect()
}

fn kill(pid: u32) {
    expect(Command::new("kill").args(["-KILL", &pid.to_string()]), 0);
}

fn parent_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

#[test]
fn ray_s_workers_are_started_again_when_they_die_and_go_when_the_script_does() {
    let Some(python) = python() else { return };
    let Some(nats) = nats() else { return };
    let job = job_of(SHARDS, ROWS);
    let variables = cluster_env(&job, &nats);
    let ray = Ray::start(&job, &python);
    let mut run = job.command("run");
    run.args(["--cluster", &nats.url(), "--ack-wait", "6"]);
    run.envs([("NATS_USER", super::NATS_USER), ("NATS_PASSWORD", super::NATS_PASSWORD)]);
    let mut coordinator = Process::start(&job, "coordinator", &mut run);

    let mut script = ray.workers(&job, &variables, "script", &["--grace", "0"]);
    wait_until(|| committed_shards(&job) >= 1 && worker_pids(&job).len() == 2);
    let first = worker_pids(&job);
    kill(first[0]);
    // The worker ends with its Ray process, because another task may get its GPU.
    kill(parent_of(first[1]));
    wait_until(|| worker_pids(&job).len() == 2 && worker_pids(&job).iter().all(|pid| !first.contains(pid)));
    assert!(committed_shards(&job) < SHARDS, "the job was done before all that happened");
    script.signal("-TERM");
    let signalled = Instant::now();
    // Without a grace, a worker returns its shards after SIGTERM and ends.
    wait_until(|| worker_pids(&job).is_empty());
    println!("the workers were gone {:.1} s after the signal", signalled.elapsed().as_secs_f64());
    assert!(signalled.elapsed() < HANDED_BACK, "{:?}", signalled.elapsed());
    assert_eq!(script.code(), Some(130), "{}", script.log());

    let mut again = ray.workers(&job, &variables, "again", &[]);
    assert_eq!(
        (coordinator.code(), again.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        again.log()
    );
    assert_eq!(job.verify(0)["rows"], SHARDS * ROWS);
    assert!(!format!("{}{}", script.log(), again.log()).contains(super::NATS_PASSWORD));
}

#[test]
fn ray_s_script_gives_the_program_options_that_it_has() {
    let text = std::fs::read_to_string(recipes().join("ray/workers.py")).unwrap();
    let (_, rest) = text.split_once("command = [").unwrap();
    let (command, _) = rest.split_once(']').unwrap();
    let words = command.split(',').map(|word| word.trim().trim_matches('"').to_owned());
    let words = words.filter(|word| !word.is_empty() && !word.starts_with("args."));
    assert_options_exist(&words.collect::<Vec<_>>());
}
