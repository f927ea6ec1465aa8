//! CUDA where libtorch has it. The program is linked to libtorch's CPU half, which is there with or without a GPU; the other
//! half registers itself when it is loaded, and nothing here names a symbol of it. So where there are a GPU and the library,
//! the program starts itself once more and has the loader bring it.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Set at the second start, so that there is no third.
const SECOND: &str = "CAPFILT_SECOND_START";
const LOADER: &str = "LD_PRELOAD";
/// Files that an NVIDIA driver makes, the second one below Windows.
const DRIVERS: [&str; 2] = ["/dev/nvidiactl", "/dev/dxg"];

/// Starts the program again with CUDA's half of libtorch, if it is wanted and not there. Returns if not, or if that fails: then
/// there is the CPU.
pub fn load() {
    if env::var_os(SECOND).is_some() || !DRIVERS.iter().any(|driver| Path::new(driver).exists()) {
        return;
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let (Some(library), Ok(program)) = (missing_half(&maps), env::current_exe()) else { return };
    let mut libraries = OsString::from(library);
    if let Some(others) = env::var_os(LOADER).filter(|others| !others.is_empty()) {
        libraries.push(" ");
        libraries.push(others);
    }
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).env(SECOND, "1").env(LOADER, libraries).exec();
    crate::say::line(format!("cannot start again with CUDA, so there is only the CPU: {error}"));
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
