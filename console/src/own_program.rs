//! The executable of this program, for child processes.

use anyhow::Context as _;
use std::path::PathBuf;

/// Path of the executable of this process.
///
/// # Errors
/// When the operating system does not report the path.
pub fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find the executable of this program")
}
