//! The source files of the repository.

use super::repo;
use std::{path::PathBuf, process::Command};

/// Tracked Rust files; a file that was just removed is still tracked until the commit, and left out.
pub fn tracked_rust_files() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z", "*.rs"]).current_dir(repo()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.split_terminator('\0').map(|name| repo().join(name)).filter(|path| path.exists()).collect()
}
