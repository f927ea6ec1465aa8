//! What has to be said before a program starts: it starts itself once more, in an environment that says it.
//!
//! CUDA where libtorch has it: the program is linked to libtorch's CPU half, which is there with or without a
//! GPU; the other half registers itself when it is loaded, and nothing here names a symbol of it. Where there
//! are a GPU and the library, the loader is told to bring it.
//!
//! And memory that stays: glibc gives large blocks back to the system as soon as they are free, and takes
//! them anew, page by page and zeroed, for the next layer's result. A process with models goes through
//! gigabytes of such blocks a second. On two cores of a virtual machine a ViT-B took 1.21 s an image so, and
//! 1.02 with blocks that are kept (`benches/RESULTS.md`).

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Set when the loader has been told of CUDA, so that it is not told again where that did not help.
const SECOND: &str = "CAPFILT_SECOND_START";
/// glibc's settings, and their values: no block is a mapping of its own, nothing below a terabyte is given
/// back, and there is one heap for all threads, as those of single threads give back whatever is set.
const KEEP_MEMORY: [(&str, &str); 3] =
    [("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "1099511627776"), ("MALLOC_ARENA_MAX", "1")];
/// Turns of a waiting OpenMP thread before it sleeps, some 0.05 ms. For 800 of the demo's pairs one worker of
/// two threads took 18.5 s with 100 of them, 10.4 with 5,000 and 8.9 with libgomp's own 300,000; two such
/// workers on two cores 7.8, 21.9, and more than 120.
const WAIT: (&str, &str) = ("GOMP_SPINCOUNT", "5000");
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";
const LOADER: &str = "LD_PRELOAD";
/// Files that an NVIDIA driver makes, the second one below Windows.
const DRIVERS: [&str; 2] = ["/dev/nvidiactl", "/dev/dxg"];

/// Starts the program again where something is to be said first: of CUDA to a command that asks for a device,
/// of memory and waits to one that holds models. Returns if there is nothing, or if that fails; then it is
/// slower, or there is only the CPU.
pub fn if_needed(command: &crate::args::Command) {
    let mut said: Vec<(&str, OsString)> = Vec::new();
    if command.computes() && env::var_os(SECOND).is_none() {
        said.extend(cuda().into_iter().flat_map(|libraries| [(SECOND, "1".into()), (LOADER, libraries)]));
    }
    // Whoever has set one of them knows better.
    let is_ours = |name: &str| command.holds_models() && env::var_os(name).is_none();
    if KEEP_MEMORY.iter().all(|(name, _)| is_ours(name)) {
        said.extend(KEEP_MEMORY.map(|(name, value)| (name, value.into())));
    }
    if is_ours(WAIT.0) && is_ours(WAIT_POLICY) {
        said.push((WAIT.0, WAIT.1.into()));
    }
    let Ok(program) = env::current_exe() else { return };
    if said.is_empty() {
        return;
    }
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).envs(said).exec();
    crate::console::line(format!("cannot start again with CUDA or settings for memory and threads: {error}"));
}

/// What the loader is to bring, CUDA's half of libtorch among it, where there is a driver and the half is not
/// loaded.
fn cuda() -> Option<OsString> {
    DRIVERS.iter().find(|driver| Path::new(driver).exists())?;
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut libraries = OsString::from(missing_half(&maps)?);
    if let Some(others) = env::var_os(LOADER).filter(|others| !others.is_empty()) {
        libraries.push(" ");
        libraries.push(others);
    }
    Some(libraries)
}

/// CUDA's half beside the CPU's, when only that one is loaded. `maps`: the process's, as Linux shows them.
fn missing_half(maps: &str) -> Option<PathBuf> {
    let mut loaded = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let is = |path: &Path, name: &str| path.file_name().is_some_and(|file| file == name);
    let half = loaded.clone().find(|path| is(path, "libtorch_cpu.so"))?.with_file_name("libtorch_cuda.so");
    (!loaded.any(|path| is(path, "libtorch_cuda.so")) && half.exists()).then_some(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_half_that_is_missing_is_looked_for_beside_the_one_that_is_loaded() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let line = |name: &str| format!("7f00-7f01 r-xp 00000000 08:01 42    {}\n", at(name).display());
        let maps = format!("7ffe-7fff rw-p 00000000 00:00 0    [stack]\n{}", line("libtorch_cpu.so"));
        assert_eq!(missing_half(&maps), None, "a libtorch without CUDA");
        fs::write(at("libtorch_cuda.so"), "").expect("a file");
        assert_eq!(missing_half(&maps), Some(at("libtorch_cuda.so")));
        assert_eq!(missing_half(&(maps + &line("libtorch_cuda.so"))), None, "it is loaded");
        assert_eq!(missing_half(""), None);
    }
}
