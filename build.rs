//! Writes the path of libtorch into the binary, so that the binary runs from any shell with no variable set,
//! and the Git commit, for `capfilt --version`.

use std::{env, path::Path, process::Command};

fn main() {
    // Else every file of the repository would be a reason to build the program again.
    println!("cargo:rerun-if-changed=build.rs");
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's lib folder");
    // An installed program finds libtorch by its place beside it (scripts/install.sh); where the program was
    // built, by libtorch's path.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/capfilt/torch/lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // libtorch_cpu.so asks for CUPTI and the CUDA runtime, which lie beside it.
    println!("cargo:rustc-link-arg=-Wl,-rpath-link,{lib}/../../nvidia/cu13/lib");
    if let Some(commit) = commit() {
        println!("cargo:rustc-env=CAPFILT_COMMIT={commit}");
    }
}

/// Git commit and the day of the commit: "0123456, 2026-01-31". Source: the variable CAPFILT_COMMIT
/// ("HASH DAY"), for a build without the folder .git; else Git. `None` without both.
fn commit() -> Option<String> {
    println!("cargo:rerun-if-env-changed=CAPFILT_COMMIT");
    let given = env::var("CAPFILT_COMMIT").ok().filter(|given| !given.trim().is_empty());
    let commit = given.or_else(head)?;
    let mut words = commit.split_whitespace();
    let hash: String = words.next()?.chars().take(7).collect();
    Some(words.next().map_or_else(|| hash.clone(), |day| format!("{hash}, {day}")))
}

/// HEAD, if this folder is the top of a Git checkout.
fn head() -> Option<String> {
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    // Git appends a line to this file with every commit and checkout. Cargo runs the script again whenever a
    // named file does not exist.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists());
    log.into_iter().for_each(|log| println!("cargo:rerun-if-changed={log}"));
    git(&["show", "--no-patch", "--format=%H %cs", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
