//! The program of the image runs for a separate user, on a system without files of the machine where it was
//! built.

use super::{prefix, recipes};
use crate::support::{expect, repo, stdout, tools};
use std::process::Command;

/// As in a container: the installed program, another user's rights, and neither homes nor the libtorch of the
/// build.
const ENTER: &str = r#"
set -eu
mount --make-rprivate /
prefix=$1 torch=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/capfilt
mount --bind "$prefix" /opt/capfilt
mount -t tmpfs -o mode=700 tmpfs "$torch"
for home in /root /home; do mount -t tmpfs -o mode=700 tmpfs $home; done
exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs "$@"
"#;

#[test]
fn an_installed_program_runs_for_any_user_without_the_place_where_it_was_built() {
    let dockerfile = std::fs::read_to_string(recipes().join("container/Dockerfile")).unwrap();
    let entry = dockerfile.lines().find_map(|line| line.strip_prefix("ENTRYPOINT [\"")).unwrap();
    let entry = entry.strip_suffix("\"]").unwrap();
    assert!(
        dockerfile.contains("\nUSER 65532:65532\n")
            && dockerfile.contains("\nCOPY opt/capfilt /opt/capfilt\n")
    );
    let prefix = prefix();
    let torch = repo().join(".libtorch").canonicalize().unwrap();
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "bash", "-c", ENTER, "enter"])
        .arg(prefix)
        .arg(&torch)
        .args([entry, "--version"]);
    let may_mount = Command::new("unshare").args(["--mount", "true"]).output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        tools::skip(&tools::MOUNT);
        return;
    }
    let said = stdout(&expect(&mut unshare, 0));
    assert_eq!(said.trim(), concat!("capfilt ", env!("CARGO_PKG_VERSION")));
}
