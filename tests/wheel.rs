//! The promise of the wheel: in an empty virtual environment with torch, `pip install` brings a program that
//! finds libtorch and cleans the demo, and another torch is refused with the version that is needed.

use crate::support::{expect, repo, stderr, stdout};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// A virtual environment that has only the wheel.
pub fn venv() -> &'static Path {
    static VENV: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let (wheels, venv) = (folder.join("wheels"), folder.join("venv"));
        let mut make = Command::new(readers());
        make.arg(repo().join("scripts/wheel.py")).arg(env!("CARGO_BIN_EXE_capfilt")).arg(&wheels);
        println!("{}", stdout(&expect(&mut make, 0)).lines().last().unwrap());
        expect(Command::new(readers()).args(["-m", "venv"]).arg(&venv), 0);
        let wheel = fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
        // Its dependency, torch, is 4 GB with CUDA; `with_torch` shares that of the readers.
        let install = ["-m", "pip", "install", "--quiet", "--no-deps"];
        expect(Command::new(venv.join("bin/python")).args(install).arg(wheel), 0);
        venv
    });
    &VENV
}

pub fn readers() -> PathBuf {
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    python
}

/// The command `capfilt` of the environment, with no variable that leads to a libtorch.
pub fn installed(folder: &Path) -> Command {
    let mut command = Command::new(venv().join("bin/capfilt"));
    for variable in ["LD_LIBRARY_PATH", "CAPFILT_LIBTORCH", "CAPFILT_PROGRAM", "PYTHONPATH", "LIBTORCH"] {
        command.env_remove(variable);
    }
    command.current_dir(folder);
    command
}

/// Lets the environment see the packages of the readers, torch 2.11 among them.
pub fn with_torch(command: &mut Command) -> &mut Command {
    let print = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"];
    let packages = stdout(&expect(Command::new(readers()).args(print), 0));
    command.env("PYTHONPATH", packages.trim())
}

#[test]
fn an_installed_wheel_cleans_the_demo_in_the_current_folder() {
    let folder = tempfile::tempdir().unwrap();
    let version = stdout(&expect(with_torch(&mut installed(folder.path())).arg("--version"), 0));
    assert!(version.starts_with("capfilt "), "{version}");
    let output = expect(with_torch(&mut installed(folder.path())).arg("demo"), 0);
    let said = stdout(&output);
    assert!(said.contains("2400") || said.contains("2,400"), "{said}");
    assert!(said.contains("recall") || said.contains("kept"), "{said}");
    assert!(stderr(&output).contains("$ capfilt run -c capfilt-demo/job.toml"), "{}", stderr(&output));
    assert!(folder.path().join("capfilt-demo/job/manifests/0.json").exists());
}

#[test]
fn without_torch_or_with_another_series_the_command_names_the_version_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let refused = stderr(&expect(installed(folder.path()).arg("--version"), 3));
    assert!(refused.contains("pip install \"torch==2.11.*\""), "{refused}");

    let other = folder.path().join("libtorch");
    fs::create_dir_all(other.join("lib")).unwrap();
    fs::write(other.join("lib/libtorch_cpu.so"), "").unwrap();
    fs::write(other.join("build-version"), "2.9.0+cpu\n").unwrap();
    let mut command = installed(folder.path());
    let refused = stderr(&expect(command.env("CAPFILT_LIBTORCH", &other).arg("--version"), 3));
    assert!(refused.contains("2.9.0+cpu") && refused.contains("libtorch 2.11"), "{refused}");

    let mut command = installed(folder.path());
    let refused = stderr(&expect(command.env("CAPFILT_LIBTORCH", "/nowhere").arg("--version"), 3));
    assert!(refused.contains("/nowhere") && refused.contains("libtorch_cpu.so"), "{refused}");
}

#[test]
fn a_libtorch_that_a_variable_names_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = installed(folder.path());
    let libtorch = repo().join(".libtorch").canonicalize().unwrap();
    let version = stdout(&expect(command.env("CAPFILT_LIBTORCH", libtorch).arg("--version"), 0));
    assert!(version.starts_with("capfilt "), "{version}");
}
