//! Re-executes the program once with environment variables that must be set before it starts: `LD_PRELOAD`
//! for CUDA, limits of glibc's malloc, spin counts of OpenMP.
//!
//! CUDA: the program is linked to libtorch's CPU library, which exists with and without a GPU. The CUDA
//! library registers itself when it is loaded, and the program uses none of its symbols. If the machine has a
//! GPU and the library, `LD_PRELOAD` names the library.
//!
//! Memory: glibc returns large free blocks to the system, and requests them again, page by page and zeroed,
//! for the next layer's result. A process with models allocates gigabytes of such blocks per second. On two
//! cores of a virtual machine a ViT-B took 1.21 s per image with glibc's defaults, and 1.02 s with kept
//! blocks (`benches/RESULTS.md`).

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Variable that marks the second start, so that the program does not start a third time if CUDA fails to
/// load.
const SECOND: &str = "CAPFILT_SECOND_START";
/// Settings of glibc's malloc: no block is a separate mapping, no free memory below a terabyte is returned,
/// and all threads share one heap, because the heaps of single threads return memory regardless of the
/// settings.
const KEEP_MEMORY: [(&str, &str); 3] =
    [("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "1099511627776"), ("MALLOC_ARENA_MAX", "1")];
/// Spin count of a waiting OpenMP thread before it sleeps: about 0.05 ms. For 800 of the demo's pairs, one
/// worker process with two threads took 18.5 s with 100 spins, 10.4 s with 5,000 and 8.9 s with libgomp's
/// default of 300,000; two such processes on two cores took 7.8 s, 21.9 s and more than 120 s.
const WAIT: (&str, &str) = ("GOMP_SPINCOUNT", "5000");
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";
const LOADER: &str = "LD_PRELOAD";
/// Device files of an NVIDIA driver; the second one exists in WSL (Linux on Windows).
const DRIVERS: [&str; 2] = ["/dev/nvidiactl", "/dev/dxg"];

/// Use of devices and models by a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uses {
    /// Neither devices nor models: the libraries of a GPU are not loaded.
    Nothing,
    /// Devices. The models of a job are in its worker processes.
    Devices,
    /// Devices and models.
    Models,
}

/// Re-executes the program if a variable is missing: CUDA for a process that uses devices, memory and spin
/// counts for a process that computes with models. Returns if all variables are set. Also returns if the
/// execution fails; then the program is slower, or has only the CPU.
pub fn if_needed(uses: Uses) {
    let mut variables: Vec<(&str, OsString)> = Vec::new();
    if uses != Uses::Nothing && env::var_os(SECOND).is_none() {
        variables
            .extend(cuda().into_iter().flat_map(|libraries| [(SECOND, "1".into()), (LOADER, libraries)]));
    }
    // A variable that the user has set takes precedence.
    let is_ours = |name: &str| uses == Uses::Models && env::var_os(name).is_none();
    if KEEP_MEMORY.iter().all(|(name, _)| is_ours(name)) {
        variables.extend(KEEP_MEMORY.map(|(name, value)| (name, value.into())));
    }
    if is_ours(WAIT.0) && is_ours(WAIT_POLICY) {
        variables.push((WAIT.0, WAIT.1.into()));
    }
    let Ok(program) = crate::own_program() else { return };
    if variables.is_empty() {
        return;
    }
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).envs(variables).exec();
    crate::line(format!(
        "cannot execute the program again with CUDA or settings for memory and threads: {error}"
    ));
}

/// Whether this machine, or this container, has the device files of an NVIDIA driver.
pub fn has_driver() -> bool {
    DRIVERS.iter().any(|driver| Path::new(driver).exists())
}

/// Value of `LD_PRELOAD` with libtorch's CUDA library; `None` without a driver, or if the library is loaded.
fn cuda() -> Option<OsString> {
    if !has_driver() {
        return None;
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut libraries = OsString::from(missing_half(&maps)?);
    if let Some(others) = env::var_os(LOADER).filter(|others| !others.is_empty()) {
        libraries.push(" ");
        libraries.push(others);
    }
    Some(libraries)
}

/// Path of libtorch's CUDA library beside the loaded CPU library; `None` if it is loaded or does not exist.
/// `maps`: content of `/proc/self/maps`.
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
