//! The units: held against systemd's own rules, and started by a systemd.

mod boot;

use super::{assert_options_exist, recipes};
use crate::support::tools;
use std::{path::Path, process::Command};

const UNITS: [&str; 2] = ["capfilt-coordinator.service", "capfilt-worker@.service"];

fn text(unit: &str) -> String {
    std::fs::read_to_string(recipes().join("systemd").join(unit)).unwrap()
}

/// Complaints of `systemd-analyze verify` about a unit, with the program under test in the place of the
/// installed one.
fn complaints(folder: &Path, unit: &str, text: &str) -> String {
    let file = folder.join(unit);
    std::fs::write(&file, text.replace("/opt/capfilt/bin/capfilt", env!("CARGO_BIN_EXE_capfilt"))).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    // Units of this machine may also have faults.
    let said = String::from_utf8(output.stderr).unwrap();
    let about_it: Vec<&str> = said.lines().filter(|line| line.contains("capfilt-")).collect();
    about_it.join("\n")
}

#[test]
fn systemd_has_nothing_against_the_units() {
    if !tools::need(&tools::SYSTEMD) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in UNITS {
        assert_eq!(complaints(folder.path(), unit, &text(unit)), "");
        let wrong = text(unit).replace("TimeoutStopSec=", "TimeoutStop=");
        assert!(
            complaints(folder.path(), unit, &wrong).contains("TimeoutStop"),
            "a wrong key was not found in {unit}"
        );
    }
}

#[test]
fn units_stop_gently_start_again_and_keep_secrets_out_of_the_command_line() {
    for unit in UNITS {
        let text = text(unit);
        for line in [
            "KillSignal=SIGTERM",
            "KillMode=mixed",
            "Restart=on-failure",
            "RestartPreventExitStatus=1 2",
            "EnvironmentFile=/etc/capfilt/cluster.env",
            "NoNewPrivileges=yes",
        ] {
            assert!(text.lines().any(|there| there == line), "{unit} lacks {line}");
        }
        let start =
            text.lines().find_map(|line| line.strip_prefix("ExecStart=/opt/capfilt/bin/capfilt ")).unwrap();
        assert!(!start.contains("NATS_"), "{start}");
        assert_options_exist(&start.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    }
}
