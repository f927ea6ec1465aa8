//! The units, started by a separate systemd: in namespaces where it is the first process, with an
//! installed program, secrets of root, a user that systemd creates, and a bucket and a NATS server that
//! the units reach over loopback.

use crate::{
    deploy::{NATS_PASSWORD, NATS_USER, nats, prefix},
    support::{Job, process::wait_until, repo, s3::S3, tools},
};
use std::{
    fmt::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Starts systemd with our units alone. What they may touch of this machine are copies: `/etc`, the installed
/// program, an empty `/run` and an empty cache.
const BOOT: &str = r#"
set -eu
# A child of systemd mounts the credentials, and all processes must see them.
mount --make-rshared /
mount --bind "$1/etc" /etc
mount --bind "$1/opt" /opt
mount --bind "$2" /opt/capfilt
for folder in /run /var/cache /tmp; do mount -t tmpfs -o mode=1777 tmpfs $folder; done
chmod 755 /run /var/cache
mkdir /run/lock
export container=other SYSTEMD_UNIT_PATH=/etc/systemd/system
exec /lib/systemd/systemd --system --unit=test.target --log-target=null
"#;

/// Units that the tested units depend on, here without content.
const TARGETS: [&str; 5] = ["sysinit", "basic", "shutdown", "network-online", "multi-user"];

/// A running systemd, ended with all it started when it is dropped.
struct Machine {
    first: Child,
}

impl Machine {
    fn boot(folder: &Path) -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]);
        unshare.args(["bash", "-c", BOOT, "boot"]).arg(folder).arg(prefix());
        let log = std::fs::File::create(folder.join("boot.log")).unwrap();
        unshare.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { first: unshare.spawn().unwrap() }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With the first process of its namespace every other one goes.
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// Whether this user may make such namespaces.
fn may_boot() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--mount",
        "--pid",
        "--ipc",
        "--fork",
        "--mount-proc",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        "/run",
    ]);
    unshare.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        || tools::skip(&tools::MOUNT)
}

/// A folder with the `/etc` and `/opt` of the machine.
fn furnish(folder: &Path, variables: &str, settings: &str) {
    let at = |name: &str| folder.join(name);
    assert!(Command::new("cp").args(["-a", "/etc"]).arg(at("etc")).status().unwrap().success());
    std::fs::remove_dir_all(at("etc/systemd/system")).unwrap();
    for made in ["etc/systemd/system", "etc/capfilt", "opt/capfilt"] {
        std::fs::create_dir_all(at(made)).unwrap();
    }
    std::fs::write(at("etc/capfilt/cluster.env"), variables).unwrap();
    std::fs::write(at("etc/capfilt/job.toml"), settings).unwrap();
    assert!(Command::new("chmod").arg("600").arg(at("etc/capfilt/job.toml")).status().unwrap().success());
    for target in TARGETS {
        let text = "[Unit]\nDefaultDependencies=no\n";
        std::fs::write(at(&format!("etc/systemd/system/{target}.target")), text).unwrap();
    }
    let wanted =
        "[Unit]\nDefaultDependencies=no\nWants=capfilt-coordinator.service capfilt-worker@cpu.service\n";
    std::fs::write(at("etc/systemd/system/test.target"), wanted).unwrap();
    for unit in super::UNITS {
        // Word by word as they are, but for a place to read what they say.
        let log = format!(
            "[Service]\nStandardOutput=append:/opt/{unit}.log\nStandardError=append:/opt/{unit}.log\n"
        );
        std::fs::write(at("etc/systemd/system").join(unit), super::text(unit)).unwrap();
        let drop_in = at("etc/systemd/system").join(format!("{unit}.d"));
        std::fs::create_dir(&drop_in).unwrap();
        std::fs::write(drop_in.join("log.conf"), log).unwrap();
    }
}

#[test]
fn systemd_starts_the_installed_program_for_its_own_user_and_the_job_is_done() {
    if !tools::need(&tools::SYSTEMD) || !may_boot() {
        return;
    }
    let Some(nats) = nats() else { return };
    let s3 = S3::start();
    s3.put("web/web-00000.parquet", &repo().join("tests/data/web/web-00000.parquet"));
    for model in ["captioner", "filter"] {
        s3.put_folder(&format!("models/{model}"), &repo().join("tests/data/models").join(model));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut job =
        Job::at(folder, s3.url("jobs/units"), s3.file("jobs/units"), &s3.url("web"), &s3.url("models"));
    job.env = s3.env();
    let mut variables = format!(
        "CAPFILT_JOB={}\nCAPFILT_CLUSTER={}\nNATS_USER={NATS_USER}\nNATS_PASSWORD={NATS_PASSWORD}\n",
        job.url,
        nats.url()
    );
    // systemd reads quotes as a shell does.
    job.env.iter().for_each(|(name, value)| writeln!(variables, "{name}=\"{value}\"").unwrap());
    let settings = std::fs::read_to_string(job.config()).unwrap() + "[shards]\nrows = 200\n";
    let machine_folder = job.folder.path().join("machine");
    std::fs::create_dir(&machine_folder).unwrap();
    furnish(&machine_folder, &variables, &settings);
    let mut machine = Machine::boot(&machine_folder);
    let said = || {
        let log = |unit: &&str| {
            std::fs::read_to_string(machine_folder.join(format!("opt/{unit}.log"))).unwrap_or_default()
        };
        super::UNITS.iter().map(log).collect::<String>()
    };
    wait_until(|| {
        assert!(machine.first.try_wait().unwrap().is_none(), "systemd ended:\n{}", said());
        assert!(!said().contains("error while loading shared libraries"), "{}", said());
        job.objects.join("manifests/0.json").exists()
    });
    drop(machine);
    let verified = job.verify(0);
    assert_eq!((&verified["rows"], &verified["ok"]), (&800.into(), &true.into()), "{verified}");
    assert!(!said().contains(NATS_PASSWORD), "{}", said());
    let worker = std::fs::read_to_string(machine_folder.join("opt/capfilt-worker@.service.log")).unwrap();
    assert!(worker.contains("is ready"), "{worker}");
}
