//! Background processes of the program, and the two that share a job over NATS.

use super::{Job, nats::Nats};
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Limit without progress, after which a process counts as hung.
const HANGS: Duration = Duration::from_secs(300);

/// A background process of the program; killed when it is dropped. What it says is in a file.
pub struct Process {
    pub child: Child,
    log: std::path::PathBuf,
}

impl Process {
    pub fn start(job: &Job, name: &str, command: &mut Command) -> Self {
        let log = job.folder.path().join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let child =
            command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Sends `-TERM` and the like.
    pub fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success()
        );
    }

    /// Sends a signal to the process and to the children it works through, so that all of them stop or
    /// continue.
    pub fn signal_all(&self, signal: &str) {
        let parent = self.child.id().to_string();
        let children = Command::new("pgrep").args(["-P", &parent]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let pids: Vec<&str> = children.split_whitespace().chain([parent.as_str()]).collect();
        assert!(pids.len() > 1, "a worker has a child for its device");
        assert!(Command::new("kill").arg(signal).args(pids).status().unwrap().success());
    }

    /// Waits for the end.
    pub fn code(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < HANGS, "it hangs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has said this; it must not end before.
    pub fn wait_for(&mut self, text: &str) {
        wait_until(|| {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "it ended before it said `{text}`:\n{}",
                self.log()
            );
            self.log().contains(text)
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn wait_until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < HANGS, "waited too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn coordinator(job: &Job, nats: &Nats) -> Process {
    Process::start(job, "coordinator", coordinate(job, &nats.url()).args(["--ack-wait", "6"]))
}

pub fn worker(job: &Job, nats: &Nats, name: &str) -> Process {
    Process::start(job, name, &mut work(job, &nats.url()))
}

/// A coordinator at these servers, not yet started.
pub fn coordinate(job: &Job, cluster: &str) -> Command {
    let mut command = job.command("run");
    command.args(["--cluster", cluster]);
    command
}

/// A worker at these servers, not yet started.
pub fn work(job: &Job, cluster: &str) -> Command {
    let mut command = job.command_by_url("worker");
    command.args(["--device", "cpu", "--cluster", cluster]);
    command
}

pub fn committed_shards(job: &Job) -> usize {
    std::fs::read_dir(job.objects.join("commits")).map_or(0, Iterator::count)
}
