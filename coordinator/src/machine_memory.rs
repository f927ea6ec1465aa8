//! Memory that this process may use, and number of processes that the kernel killed because memory ran out.
//!
//! Sources are the process's control group (cgroup v2, or v1's memory controller) and, for the machine,
//! `/proc`. Without a source, memory counts as unlimited and the number of kills as 0.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files with the limits and counts.
#[derive(Debug, Clone)]
pub struct MachineMemory {
    proc: PathBuf,
    /// The process's control group and its ancestors, innermost first.
    groups: Vec<PathBuf>,
}

impl MachineMemory {
    /// The files of this process.
    pub fn look() -> Self {
        Self::under(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
    }

    fn under(proc: &Path, cgroup: &Path) -> Self {
        let groups = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
        let groups = groups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            let root = match controllers {
                "" => cgroup.to_path_buf(),
                _ if controllers.split(',').any(|name| name == "memory") => cgroup.join("memory"),
                _ => return None,
            };
            // In a container the path is the host's, but the container's own group is mounted at the root.
            Some(
                root.join(path)
                    .ancestors()
                    .take_while(|group| group.starts_with(&root))
                    .map(Path::to_path_buf)
                    .collect(),
            )
        });
        let groups = groups.flat_map(|groups: Vec<PathBuf>| groups).filter(|group| group.is_dir()).collect();
        Self { proc: proc.to_path_buf(), groups }
    }

    /// Bytes: the machine's memory, or the smallest limit of a control group.
    pub fn bytes(&self) -> u64 {
        let limits = self.groups.iter().flat_map(|group| {
            ["memory.max", "memory.limit_in_bytes"]
                .map(|file| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok())
        });
        let machine = field(&self.proc.join("meminfo"), "MemTotal:").map(|kib| kib << 10);
        limits.flatten().chain(machine).min().unwrap_or(u64::MAX)
    }

    /// Number of out-of-memory kills so far: in this control group or, without a count there, on this
    /// machine.
    pub fn oom_kills(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"];
        let counts =
            self.groups.iter().flat_map(|group| files.map(|file| field(&group.join(file), "oom_kill")));
        counts.flatten().next().or_else(|| field(&self.proc.join("vmstat"), "oom_kill")).unwrap_or(0)
    }
}

/// Number in the line that begins with `name`.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut words = text.lines().map(str::split_whitespace);
    words.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of 8 GiB, with these files in its folder.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, MachineMemory) {
        let folder = tempfile::tempdir().unwrap();
        let always =
            [("proc/meminfo", "MemFree: 1 kB\nMemTotal: 8388608 kB\n"), ("proc/vmstat", "oom_kill 7\n")];
        for (name, text) in always.iter().chain(files) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let memory = MachineMemory::under(&folder.path().join("proc"), &folder.path().join("cgroup"));
        (folder, memory)
    }

    #[test]
    fn the_smallest_limit_around_the_process_counts() {
        let (_folder, memory) = machine(&[
            ("proc/self/cgroup", "0::/job/step\n"),
            ("cgroup/job/memory.max", "2147483648\n"),
            ("cgroup/job/step/memory.max", "max\n"),
            ("cgroup/job/step/memory.events", "oom 3\noom_kill 2\noom_group_kill 0\n"),
        ]);
        assert_eq!((memory.bytes(), memory.oom_kills()), (2 << 30, 2));
    }

    #[test]
    fn the_older_form_of_control_groups_is_read_too_and_a_container_s_path_may_not_be_there() {
        let (_folder, memory) = machine(&[
            ("proc/self/cgroup", "5:cpu:/x\n4:memory:/docker/abc\n"),
            ("cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ]);
        assert_eq!((memory.bytes(), memory.oom_kills()), (1 << 30, 1));
    }

    #[test]
    fn without_control_groups_the_machine_counts() {
        let (_folder, memory) = machine(&[]);
        assert_eq!((memory.bytes(), memory.oom_kills()), (8 << 30, 7));
    }
}
