//! A process watched from outside, as the system's tools see it: time, processor time, memory.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Time between two looks; what happens between the last one and the end is not seen.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Measurements of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub cpu_seconds: f64,
    /// Resident now.
    pub rss_mb: f64,
    /// The most that was ever resident (VmHWM).
    pub peak_mb: f64,
}

/// A process that ended.
#[derive(Debug)]
pub struct Ended {
    pub seconds: f64,
    pub last: Seen,
    pub stdout: String,
}

/// Runs a process to its end; `look` receives the measurements meanwhile.
pub fn watch(mut command: Command, mut look: impl FnMut(Seen)) -> Ended {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut last = Seen::default();
    while child.try_wait().unwrap().is_none() {
        if let Some(seen) = see(child.id()) {
            last = seen;
            look(seen);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let seconds = started.elapsed().as_secs_f64();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{stdout}", output.status);
    Ended { seconds, last, stdout }
}

/// Measures a process once; `None` if the process has ended.
pub fn see(pid: u32) -> Option<Seen> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let megabytes = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in parentheses; user and system time are the 14th and 15th field, in hundredths of a
    // second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(Seen { cpu_seconds: ticks / 100.0, rss_mb: megabytes("VmRSS:")?, peak_mb: megabytes("VmHWM:")? })
}

/// Our child of this name.
pub fn child_named(name: &str) -> Option<u32> {
    let own = std::process::id();
    let tasks = std::fs::read_dir(format!("/proc/{own}/task")).ok()?;
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let pids: Vec<u32> = children
        .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect();
    pids.into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim() == name)
    })
}

/// Background processes, ended when they are dropped.
pub struct Background(pub Vec<Child>);

impl Background {
    /// Waits for all of them.
    pub fn join(mut self) {
        for child in &mut self.0 {
            assert!(child.wait().unwrap().success());
        }
        self.0.clear();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
