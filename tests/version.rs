//! Output of `capfilt --version`, for bug reports.

use crate::support::{capfilt, expect, repo, stdout};
use std::process::Command;

fn details() -> String {
    stdout(&expect(capfilt().arg("--version"), 0))
}

/// Content of the line that begins with a word.
fn line<'a>(details: &'a str, word: &str) -> &'a str {
    let mut lines = details.lines().filter_map(|line| line.strip_prefix(word));
    lines.next().unwrap_or_else(|| panic!("no line {word:?}: {details}")).trim()
}

#[test]
fn the_short_version_is_one_line() {
    let version = format!("capfilt {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&expect(capfilt().arg("-V"), 0)), version);
}

#[test]
fn the_long_version_names_the_git_commit_of_the_program() {
    let mut git = Command::new("git");
    git.args(["show", "--no-patch", "--format=%H %cs", "HEAD"]).current_dir(repo());
    let head = git.output().ok().filter(|output| output.status.success()).map(|output| stdout(&output));
    let named =
        head.map(|head| format!(" (git {}, {})", &head[..7], head.split_whitespace().nth(1).unwrap()));
    let expected = format!("capfilt {}{}", env!("CARGO_PKG_VERSION"), named.unwrap_or_default());
    assert_eq!(details().lines().next().unwrap(), expected);
}

#[test]
fn the_long_version_names_the_loaded_libtorch_and_whether_it_has_cuda() {
    let libtorch = repo().join(".libtorch").canonicalize().unwrap().join("lib");
    let details = details();
    let expected = format!("2.11.0 in {}, compiled with 2.11.0", libtorch.display());
    assert_eq!(line(&details, "libtorch"), expected);
    let has_cuda = libtorch.join("libtorch_cuda.so").exists();
    assert_eq!(line(&details, "CUDA").starts_with("no"), !has_cuda, "{details}");
}

#[test]
fn the_long_version_names_features_of_the_cpu_as_linux_does_and_the_kernels_that_follow() {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let flags: Vec<&str> = line(&info, "flags").split_whitespace().collect();
    let all = ["avx2", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "amx_bf16"];
    let expected: Vec<&str> = all.into_iter().filter(|feature| flags.contains(feature)).collect();
    let details = details();
    assert!(line(&details, "CPU  ").ends_with(&expected.join(" ")), "{expected:?}: {details}");
    let is_fit =
        all[1..6].iter().all(|feature| expected.contains(feature)) && !expected.contains(&"amx_bf16");
    assert_eq!(line(&details, "CPU kernels").starts_with("capfilt's"), is_fit, "{details}");
}
