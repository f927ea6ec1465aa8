//! A coordinator and its workers, as an operator or a scheduler keeps them: who was killed is started again.

use super::{
    Job,
    nats::Nats,
    process::{Process, committed_shards, coordinator, worker},
};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// Limit without progress, after which a job counts as hung.
const HANGS: Duration = Duration::from_secs(300);

/// Who of the fleet; workers have numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    Coordinator,
    Worker(usize),
}

/// Which processes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The one that was started; its device's process learns of its end by its pipe.
    Parent,
    /// Its device's process alone, if it has one now; else the parent.
    Device,
    /// As when the machine fails.
    Whole,
}

pub struct Fleet<'a> {
    job: &'a Job,
    members: Vec<Running>,
    /// Stopped processes, and when they are continued.
    asleep: Vec<(Instant, Vec<u32>)>,
    /// Time of the last progress, and its number of commits; both must change within the limit.
    last: (Instant, usize),
}

struct Running {
    member: Member,
    process: Process,
    /// How often it was started.
    starts: u32,
    was_killed: bool,
}

impl<'a> Fleet<'a> {
    pub fn start(job: &'a Job, nats: &Nats, workers: usize) -> Self {
        let members = std::iter::once(Member::Coordinator).chain((0..workers).map(Member::Worker));
        let members = members.map(|member| Running::start(job, nats, member, 1)).collect();
        Self { job, members, asleep: Vec::new(), last: (Instant::now(), 0) }
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self, member: Member, part: Part) {
        let running = self.running(member);
        let pids = running.pids(part);
        running.was_killed |= pids.contains(&running.process.child.id());
        signal("-KILL", &pids);
    }

    /// Sends SIGSTOP, and SIGCONT when the time is over.
    pub fn stop(&mut self, member: Member, part: Part, time: Duration) {
        let pids = self.running(member).pids(part);
        signal("-STOP", &pids);
        self.asleep.push((Instant::now() + time, pids));
    }

    /// Tends all processes until the condition holds. No process may end before.
    pub fn tend_until(&mut self, nats: &Nats, mut is_so: impl FnMut(&Self) -> bool) {
        while !is_so(self) {
            assert!(!self.tend(nats), "the job is over before all faults have happened");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tends all processes until the job has ended and all processes have exited.
    pub fn see_out(mut self, nats: &Nats) {
        while !self.tend(nats) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn commits(&self) -> usize {
        committed_shards(self.job)
    }

    /// Restarts killed processes, continues stopped ones after a while; `true` when all have ended with a
    /// good end.
    fn tend(&mut self, nats: &Nats) -> bool {
        self.wake();
        self.must_go_on();
        let mut is_over = true;
        for running in &mut self.members {
            match running.process.child.try_wait().unwrap() {
                None => is_over = false,
                Some(status) if status.code() == Some(0) => {}
                Some(_) if running.was_killed => {
                    *running = Running::start(self.job, nats, running.member, running.starts + 1);
                    is_over = false;
                }
                Some(status) => {
                    panic!("{:?} ended unexpectedly, {status}:\n{}", running.member, running.process.log());
                }
            }
        }
        is_over
    }

    fn wake(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.asleep).into_iter().partition(|(until, _)| *until <= now);
        self.asleep = later;
        due.iter().for_each(|(_, pids): &(Instant, Vec<u32>)| signal("-CONT", pids));
    }

    fn must_go_on(&mut self) {
        let commits = self.commits();
        if commits != self.last.1 {
            self.last = (Instant::now(), commits);
        }
        if self.last.0.elapsed() > HANGS {
            panic!("no commit after the {commits}th; the logs:\n{}", self.logs());
        }
    }

    fn logs(&self) -> String {
        let logs =
            self.members.iter().map(|running| format!("{:?}:\n{}\n", running.member, running.process.log()));
        logs.collect()
    }

    fn running(&mut self, member: Member) -> &mut Running {
        self.members.iter_mut().find(|running| running.member == member).unwrap()
    }
}

/// Leaves no process stopped, even if the test fails.
impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        self.asleep.iter().for_each(|(_, pids)| signal("-CONT", pids));
    }
}

impl Running {
    fn start(job: &Job, nats: &Nats, member: Member, starts: u32) -> Self {
        let process = match member {
            Member::Coordinator => coordinator(job, nats),
            Member::Worker(number) => worker(job, nats, &format!("worker-{number}")),
        };
        Self { member, process, starts, was_killed: false }
    }

    fn pids(&self, part: Part) -> Vec<u32> {
        let (parent, devices) = (self.process.child.id(), children_of(self.process.child.id()));
        match part {
            Part::Device if !devices.is_empty() => devices,
            Part::Parent | Part::Device => vec![parent],
            Part::Whole => devices.into_iter().chain([parent]).collect(),
        }
    }
}

/// Processes that any thread of this one has started.
fn children_of(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    children
        .flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Some of them may be gone already.
fn signal(signal: &str, pids: &[u32]) {
    for pid in pids {
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
    }
}
