//! A real Slurm: one machine that says it has four GPUs, everything on loopback and in a temporary folder.

use crate::{
    deploy::path,
    support::{expect, process::wait_until, stdout, tools},
};
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Jobs of the partition `urgent` preempt those of `gpu`. Limits of memory and CPUs are not this machine's:
/// it is small.
const SETTINGS: &str = "\
ClusterName=capfilt
SlurmctldHost=HOST(127.0.0.1)
SlurmctldPort=CONTROL_PORT
SlurmdPort=NODE_PORT
SlurmUser=USER
SlurmdUser=USER
AuthType=auth/munge
AuthInfo=socket=FOLDER/munge.socket,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=FOLDER/state
SlurmdSpoolDir=FOLDER/spool
SlurmctldPidFile=FOLDER/slurmctld.pid
SlurmdPidFile=FOLDER/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=HOST NodeAddr=127.0.0.1 CPUs=64 RealMemory=500000 Gres=gpu:4
PartitionName=gpu Nodes=HOST Default=YES PriorityTier=1
PartitionName=urgent Nodes=HOST PriorityTier=10
";

/// Limit for Slurm's start, and for the end of its jobs.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Slurm {
    pub folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Slurm {
    /// A running Slurm. `None` where it is missing and tests may be skipped.
    pub fn start() -> Option<Self> {
        if !tools::need(&tools::SLURM) {
            return None;
        }
        let mut slurm = Self { folder: tempfile::tempdir().unwrap(), daemons: Vec::new() };
        slurm.configure();
        slurm.start_munge();
        slurm.start_daemon(Command::new("slurmctld").args(["-D", "-c"]), "slurmctld");
        slurm.start_daemon(Command::new("slurmd").arg("-D"), "slurmd");
        slurm.wait_until_idle();
        Some(slurm)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the recipe lies, and what its jobs say.
    pub fn submitted_from(&self) -> PathBuf {
        self.path("configs/deploy/slurm")
    }

    fn configure(&self) {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let user = stdout(&expect(Command::new("id").arg("-un"), 0));
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // Both are held until both are known, so that they differ.
        let ports = [port(), port()].map(|listener| listener.local_addr().unwrap().port().to_string());
        let settings = SETTINGS
            .replace("HOST", host.trim().split('.').next().unwrap())
            .replace("USER", user.trim())
            .replace("CONTROL_PORT", &ports[0])
            .replace("NODE_PORT", &ports[1])
            .replace("FOLDER", &self.folder.path().display().to_string());
        std::fs::write(self.path("slurm.conf"), settings).unwrap();
        // Slurm counts files and assigns their numbers; only libraries of the GPU would read them.
        let gpus = format!("Name=gpu Count=4 File={}/gpu[0-3]\n", self.folder.path().display());
        std::fs::write(self.path("gres.conf"), gpus).unwrap();
        for name in ["gpu0", "gpu1", "gpu2", "gpu3"] {
            std::fs::write(self.path(name), "").unwrap();
        }
        for name in ["state", "spool"] {
            std::fs::create_dir(self.path(name)).unwrap();
        }
    }

    fn start_munge(&mut self) {
        use std::os::unix::fs::PermissionsExt as _;
        let key: Vec<u8> = (0..1024).map(|_| rand::random()).collect();
        std::fs::write(self.path("munge.key"), key).unwrap();
        std::fs::set_permissions(self.path("munge.key"), std::fs::Permissions::from_mode(0o400)).unwrap();
        let mut munged = Command::new("munged");
        munged.args(["--foreground", "--force"]);
        for (option, name) in [
            ("--socket", "munge.socket"),
            ("--key-file", "munge.key"),
            ("--pid-file", "munge.pid"),
            ("--log-file", "munge.log"),
            ("--seed-file", "munge.seed"),
        ] {
            munged.arg(option).arg(self.path(name));
        }
        self.start_daemon(&mut munged, "munged");
        let socket = self.path("munge.socket");
        wait_until(|| socket.exists());
    }

    fn start_daemon(&mut self, command: &mut Command, name: &str) {
        let log = std::fs::File::create(self.path(&format!("{name}.out"))).unwrap();
        command.env("PATH", path()).env("SLURM_CONF", self.path("slurm.conf")).stdin(Stdio::null());
        self.daemons.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    fn wait_until_idle(&self) {
        let since = Instant::now();
        while !self.says("sinfo", &["--noheader", "--partition=gpu", "--format=%T"]).contains("idle") {
            assert!(since.elapsed() < PATIENCE, "Slurm does not start: {}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PATH", path())
            .env("SLURM_CONF", self.path("slurm.conf"))
            .current_dir(self.folder.path());
        command
    }

    /// Output of a command, which may fail.
    pub fn says(&self, program: &str, arguments: &[&str]) -> String {
        stdout(&self.command(program).args(arguments).output().unwrap())
    }

    /// One field of `scontrol show job`.
    pub fn job(&self, job: &str, field: &str) -> String {
        let said = self.says("scontrol", &["--oneliner", "show", "job", job]);
        let found = said.split_whitespace().find_map(|word| word.strip_prefix(&format!("{field}=")));
        found.unwrap_or_else(|| panic!("job {job} has no {field}: {said}")).to_owned()
    }

    /// Waits until a job is in a state, after one of these numbers of restarts.
    pub fn wait_for(&self, job: &str, restarts: &[&str], state: &str) {
        let since = Instant::now();
        let is_there =
            || restarts.contains(&&*self.job(job, "Restarts")) && self.job(job, "JobState") == state;
        while !is_there() {
            let queue = || self.says("scontrol", &["--oneliner", "show", "job"]);
            assert!(
                since.elapsed() < PATIENCE * 3,
                "job {job} is never {state}:\n{}\n{}",
                queue(),
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn logs(&self) -> String {
        let mut text = String::new();
        let folders = [self.folder.path().to_owned(), self.submitted_from()];
        let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        for entry in entries {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log" || extension == "out") {
                let said = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                text.push_str(&format!("--- {}\n{said}\n", path.display()));
            }
        }
        text
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // Jobs outlive slurmd, so they are ended first.
        let since = Instant::now();
        while !self.says("squeue", &["--noheader"]).trim().is_empty() && since.elapsed() < PATIENCE {
            let user = self.says("id", &["-un"]);
            self.says("scancel", &["--full", "--user", user.trim()]);
            std::thread::sleep(Duration::from_millis(500));
        }
        for daemon in self.daemons.iter_mut().rev() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let _ = daemon.wait();
        }
    }
}
