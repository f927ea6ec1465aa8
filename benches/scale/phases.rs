//! Measured phases, in their order.

use crate::{
    course::Course,
    input,
    nats::Nats,
    report::Report,
    store::{Requests, S3},
    watch::{self, Background, Ended, Seen},
};
use serde_json::Value;
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// Row groups, and so shards, per input file.
const GROUPS: usize = 100;

/// How large the simulated job is.
#[derive(Debug, Clone, clap::Args)]
pub struct Size {
    /// Shards planned, handed out and committed; 100 per input file
    #[arg(long, default_value_t = 100_000)]
    shards: usize,
    /// Of these, shards done with everything a worker does but the models
    #[arg(long, default_value_t = 4_000)]
    whole_shards: usize,
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// Time of a shard on the stand-in's "device"
    #[arg(long, default_value_t = 20)]
    shard_ms: u64,
    /// Latency of every request where a figure says "with latency"
    #[arg(long, default_value_t = 30)]
    latency_ms: u64,
    /// Measure this part alone
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Planned, run and resumed by one machine.
    Machine,
    /// Run and resumed by a cluster.
    Cluster,
    /// With everything a worker does but the models.
    Whole,
}

/// The benchmark under way.
struct Bench<'a> {
    size: &'a Size,
    s3: S3,
    folder: tempfile::TempDir,
    report: Report,
}

pub fn measure(size: &Size) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench { size, s3: S3::start(), folder, report: Report::default() };
    bench.fill_input();
    bench.start_up();
    let wants = |part: Part| size.only.is_none_or(|only| only == part);
    if wants(Part::Machine) {
        bench.plan();
        bench.run_on_one_machine();
        bench.look("status, done job", "status", "one");
        bench.resume("resume at 99 %", Duration::ZERO);
        bench.resume("resume at 99 %, with latency", bench.latency());
    }
    if wants(Part::Cluster) {
        bench.run_in_a_cluster();
    }
    if wants(Part::Whole) {
        bench.whole_worker();
    }
    bench.report
}

/// Processor time of this process so far, which is the S3 server's.
fn server_seconds() -> f64 {
    watch::see(std::process::id()).unwrap().cpu_seconds
}

impl Bench<'_> {
    fn latency(&self) -> Duration {
        Duration::from_millis(self.size.latency_ms)
    }

    fn fill_input(&self) {
        let picture = input::picture();
        for number in 0..self.size.shards / GROUPS {
            let file = input::file(number, GROUPS, &picture);
            self.s3.put(&format!("input/{number:05}.parquet"), file.clone());
            if number * GROUPS < self.size.whole_shards {
                self.s3.put(&format!("part/{number:05}.parquet"), file);
            }
        }
    }

    /// Settings of a job over an input; their file.
    fn config(&self, job: &str, input: &str) -> std::path::PathBuf {
        let devices = vec!["\"cpu\""; self.size.workers].join(", ");
        let (job_url, input) = (self.s3.url(&format!("jobs/{job}")), self.s3.url(input));
        let settings = format!(
            "[job]\nurl = \"{job_url}\"\n[input]\nurl = \"{input}\"\n[models]\ncaptioner = \"none\"\n\
             filter = \"none\"\n\
             precision = \"f32\"\n[shards]\nrows = {}\n[workers]\ndevices = [{devices}]\nbatch = 8\n",
            input::ROWS
        );
        let path = self.folder.path().join(format!("{job}.toml"));
        std::fs::write(&path, settings).unwrap();
        path
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.envs(self.s3.env());
        command
    }

    fn capfilt(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_capfilt"))
    }

    fn role(&self, role: &str) -> Command {
        let mut command = self.command(std::env::current_exe().unwrap());
        command.arg(role);
        command
    }

    fn stand_in(&self, command: &mut Command, whole: &str) {
        command.args(["--whole", whole, "--shard-ms", &self.size.shard_ms.to_string()]);
    }

    /// Runs a command to its end; also the requests it made.
    fn counted(&self, command: Command, look: impl FnMut(Seen)) -> (Ended, Requests) {
        let before = self.s3.requests();
        let ended = watch::watch(command, look);
        (ended, self.s3.requests() - before)
    }

    /// Cost of starting any command: libtorch is loaded with the program.
    fn start_up(&mut self) {
        let mut command = self.capfilt();
        command.arg("--version");
        let (ended, _) = self.counted(command, |_| {});
        self.report.note("capfilt --version: time", ended.seconds, "s");
    }

    fn plan(&mut self) {
        let config = self.config("one", "input");
        for (label, latency) in [("plan", Duration::ZERO), ("plan, with latency", self.latency())] {
            self.s3.set_latency(latency);
            let mut seconds: Vec<f64> = Vec::new();
            for _ in 0..3 {
                let mut command = self.capfilt();
                command.args(["plan", "--json", "--calibrate", "0", "-c"]).arg(&config);
                let (ended, requests) = self.counted(command, |_| {});
                let planned: Value = serde_json::from_str(&ended.stdout).unwrap();
                assert_eq!(planned["shards"], self.size.shards);
                seconds.push(ended.seconds);
                if seconds.len() == 3 {
                    self.report.note(&format!("{label}: time, median of 3"), median(&mut seconds), "s");
                    self.report.note(&format!("{label}: peak memory"), ended.last.peak_mb, "MB");
                    self.report.note(&format!("{label}: requests"), requests.shown(), "");
                }
            }
        }
        self.s3.set_latency(Duration::ZERO);
    }

    fn run_on_one_machine(&mut self) {
        let mut command = self.role("run");
        command.arg(self.config("one", "input"));
        self.stand_in(&mut command, "commit");
        self.dispatched("one machine", "one", command);
    }

    fn run_in_a_cluster(&mut self) {
        let Some(nats) = Nats::start() else { return };
        let workers = self.join("two", &nats.url());
        let mut command = self.role("coordinate");
        command.arg(self.config("two", "input")).arg(nats.url());
        self.dispatched("cluster", "two", command);
        workers.join();
        let server = watch::child_named("nats-server").and_then(watch::see).unwrap();
        self.report.note("cluster: nats-server, peak memory", server.peak_mb, "MB");
        let per_shard = server.cpu_seconds * 1e3 / self.size.shards as f64;
        self.report.note("cluster: nats-server, processor time per shard", per_shard, "ms");
        self.interrupt("two");
        let workers = self.join("two", &nats.url());
        let mut command = self.role("coordinate");
        command.arg(self.config("two", "input")).arg(nats.url());
        self.resumed("cluster, resume at 99 %", command);
        workers.join();
    }

    fn join(&self, job: &str, nats: &str) -> Background {
        let worker = || {
            let mut command = self.role("worker");
            command.args([self.s3.url(&format!("jobs/{job}")).as_str(), nats]);
            self.stand_in(&mut command, "commit");
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
        };
        Background((0..self.size.workers).map(|_| worker()).collect())
    }

    /// A job from nothing to its manifest, and its coordinator on the way.
    fn dispatched(&mut self, label: &str, job: &str, command: Command) {
        let shards = self.size.shards as f64;
        let mut course = Course::new(self.size.shards);
        let (commits, server) = (format!("jobs/{job}/commits/"), server_seconds());
        let (ended, requests) = self.counted(command, |seen| course.look(seen, || self.s3.count(&commits)));
        let server_ms = (server_seconds() - server) * 1e3 / shards;
        let times: Value = serde_json::from_str(&ended.stdout).unwrap();
        let at = |what: &str| times[what].as_f64().unwrap();
        let overhead = |seconds: f64| seconds * self.size.workers as f64 * 1e3 - self.size.shard_ms as f64;
        let whole_ms = overhead((at("dispatched") - at("first_commit")) / shards);
        let mut windows: Vec<f64> = course.windows.iter().map(|window| overhead(*window)).collect();
        let shown: Vec<String> = windows.iter().map(|window| format!("{window:.2}")).collect();

        let mut note =
            |what: &str, value: Value, unit| self.report.note(&format!("{label}: {what}"), value, unit);
        note("plan and job written after", at("opened").into(), "s");
        if let Some(filled) = times["filled"].as_f64() {
            note("queue filled after", filled.into(), "s");
        }
        note("overhead per shard and worker, median of windows", median(&mut windows).into(), "ms");
        note("overhead in each window", shown.join(" ").into(), "ms");
        note("overhead per shard and worker, whole run", whole_ms.into(), "ms");
        note("coordinator, processor time per shard", (course.last.cpu_seconds * 1e3 / shards).into(), "ms");
        note("S3 server, processor time per shard, seal included", server_ms.into(), "ms");
        for (count, rss_mb) in course.resident {
            note(&format!("coordinator, memory after {count} commits"), rss_mb.into(), "MB");
        }
        note("coordinator, peak memory with the seal", ended.last.peak_mb.into(), "MB");
        note("sealing", (at("sealed") - at("dispatched")).into(), "s");
        note("requests", requests.shown().into(), "");
        for method in ["PUT", "GET", "LIST"] {
            note(&format!("{method} per shard"), (requests.of(method) as f64 / shards).into(), "");
        }
    }

    /// Makes a finished job one that was interrupted: the manifest and every hundredth commit are gone.
    fn interrupt(&self, job: &str) -> usize {
        self.s3.remove_every(&format!("jobs/{job}/manifests/"), 1);
        self.s3.remove_every(&format!("jobs/{job}/commits/"), 100)
    }

    fn resume(&mut self, label: &str, latency: Duration) {
        self.interrupt("one");
        self.s3.set_latency(latency);
        self.look(&format!("status at 99 %, latency {} ms", latency.as_millis()), "status", "one");
        let mut command = self.role("run");
        command.arg(self.config("one", "input"));
        self.stand_in(&mut command, "commit");
        self.resumed(label, command);
        self.s3.set_latency(Duration::ZERO);
    }

    fn resumed(&mut self, label: &str, command: Command) {
        let (ended, requests) = self.counted(command, |_| {});
        let times: Value = serde_json::from_str(&ended.stdout).unwrap();
        for what in ["opened", "stood", "filled", "first_shard", "first_commit", "dispatched", "sealed"] {
            if let Some(seconds) = times[what].as_f64() {
                self.report.note(&format!("{label}: {} after", what.replace('_', " ")), seconds, "s");
            }
        }
        self.report.note(&format!("{label}: requests"), requests.shown(), "");
    }

    /// Runs a command that only reads a job.
    fn look(&mut self, label: &str, name: &str, job: &str) {
        let mut command = self.capfilt();
        command.args([name, "--json", "--job", &self.s3.url(&format!("jobs/{job}"))]);
        let (ended, requests) = self.counted(command, |_| {});
        self.report.note(&format!("{label}: time"), ended.seconds, "s");
        self.report.note(&format!("{label}: peak memory"), ended.last.peak_mb, "MB");
        self.report.note(&format!("{label}: requests"), requests.shown(), "");
    }

    /// Work of a worker over a part of the input, without models.
    fn whole_worker(&mut self) {
        let mut command = self.role("run");
        command.arg(self.config("whole", "part"));
        self.stand_in(&mut command, "worker");
        let shards = self.s3.count("part/") * GROUPS;
        let (ended, requests) = self.counted(command, |_| {});
        let times: Value = serde_json::from_str(&ended.stdout).unwrap();
        let wall = times["dispatched"].as_f64().unwrap() - times["first_commit"].as_f64().unwrap();
        let per_shard_ms = wall * 1e3 / shards as f64 * self.size.workers as f64 - self.size.shard_ms as f64;
        self.report.note("whole worker: shards", shards, "");
        self.report.note("whole worker: overhead per shard and worker", per_shard_ms, "ms");
        self.report.note("whole worker: requests", requests.shown(), "");
        self.look("whole worker: verify", "verify", "whole");
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
