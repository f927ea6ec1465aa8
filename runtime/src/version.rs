//! Lines of `capfilt --version`: program, libtorch, CUDA and CPU of this machine.

use capfilt_console::reexec;
use std::{fs, path::Path};

/// Version of the libtorch that the program was compiled with.
const COMPILED_WITH: &str = env!("CAPFILT_LIBTORCH_VERSION");

/// Lines about the program and this machine, without a line break at the end. `commit`: the program's Git
/// commit and its day. The function loads neither a model nor CUDA.
pub fn details(commit: Option<&str>) -> String {
    let commit = commit.map(|commit| format!(" (git {commit})")).unwrap_or_default();
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let program = format!("capfilt {}{commit}", env!("CARGO_PKG_VERSION"));
    [program, libtorch(&maps), cuda(&maps), cpu()].join("\n")
}

/// Line about the loaded libtorch.
fn libtorch(maps: &str) -> String {
    let folder = loaded(maps, "libtorch_cpu.so").and_then(Path::parent);
    let folder = folder.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
    let (loaded, compiled) = (capfilt_blip::libtorch_version(), COMPILED_WITH);
    format!("libtorch    {loaded}{folder}, compiled with {compiled}")
}

/// Line about CUDA: the library of libtorch, its release of CUDA and the driver.
fn cuda(maps: &str) -> String {
    let cpu = loaded(maps, "libtorch_cpu.so");
    if !cpu.is_some_and(|cpu| cpu.with_file_name("libtorch_cuda.so").exists()) {
        return "CUDA        no: this libtorch is for CPUs".to_owned();
    }
    // libtorch_cpu.so needs the CUDA runtime, so the runtime is loaded without a driver too.
    let release = loaded(maps, "libcudart.so").and_then(|path| path.extension()?.to_str());
    let release = release.map(|release| format!(" {release}")).unwrap_or_default();
    match (reexec::has_driver(), driver_version()) {
        (true, Some(driver)) => format!("CUDA       {release}, NVIDIA driver {driver}"),
        (true, None) => format!("CUDA       {release}, NVIDIA driver of an unknown version"),
        (false, _) => format!("CUDA       {release}, but this machine has no NVIDIA driver"),
    }
}

/// Line about the CPU and the kernels of its models.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or("unknown", |(_, name)| name.trim());
    let kernels = match capfilt_blip::cpu_has_kernels() {
        true => "capfilt's, in f32, bf16 and int8",
        false => "libtorch's; capfilt's need AVX512-BF16 and AVX512-VNNI, and no AMX",
    };
    format!("CPU         {name}: {}\nCPU kernels {kernels}", capfilt_blip::cpu_features().join(" "))
}

/// Version of the loaded NVIDIA driver's kernel module: the first number of its line.
fn driver_version() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let mut words = text.lines().next()?.split_whitespace();
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// Path of a loaded library whose file name begins with `name`. `maps`: content of `/proc/self/maps`.
fn loaded<'a>(maps: &'a str, name: &str) -> Option<&'a Path> {
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    paths.find(|path| {
        path.file_name().and_then(|file| file.to_str()).is_some_and(|file| file.starts_with(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_is_named_if_the_loaded_libtorch_has_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let line =
            |name: &str| format!("7f00-7f01 r-xp 00 08:01 42    {}\n", folder.path().join(name).display());
        let maps = line("libtorch_cpu.so") + &line("libcudart.so.13");
        assert!(cuda(&maps).contains("no: this libtorch is for CPUs"), "{}", cuda(&maps));
        fs::write(folder.path().join("libtorch_cuda.so"), "").expect("a file");
        let found = cuda(&maps);
        assert!(found.contains(" 13, ") && found.contains("NVIDIA driver"), "{found}");
    }
}
