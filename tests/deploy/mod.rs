//! The recipes under `configs/deploy`, used as they are: by Slurm, by Ray, and held against the rules of
//! Kubernetes and systemd.

mod container;
mod helm;
mod kubernetes;
mod ray;
mod slurm;
mod systemd;

use crate::support::{Job, capfilt, expect, nats::Nats, repo, stdout, tools};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

fn recipes() -> PathBuf {
    repo().join("configs/deploy")
}

/// The Python with Ray and the schemas of Kubernetes. `None` where it is missing and tests may be skipped.
fn python() -> Option<PathBuf> {
    tools::need(&tools::DEPLOY).then(|| repo().join(".deploy/bin/python"))
}

/// Twelve shards.
fn job() -> Job {
    Job::over_web().set(&["shards.rows=200"])
}

/// Every variable of `configs/deploy/cluster.env` that this job needs, as a file like it.
fn cluster_env(job: &Job, nats: &Nats) -> PathBuf {
    let path = job.folder.path().join("cluster.env");
    let text = format!(
        "CAPFILT_JOB={}\nCAPFILT_CLUSTER={}\nNATS_USER={NATS_USER}\nNATS_PASSWORD={NATS_PASSWORD}\n\
         CAPFILT_PREFIX={}\n",
        job.url,
        nats.url(),
        prefix().display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

const NATS_USER: &str = "cleaner";
const NATS_PASSWORD: &str = "opensesame";

/// A server that wants to know who comes.
fn nats() -> Option<Nats> {
    Nats::with(&format!("authorization {{ user: {NATS_USER}, password: {NATS_PASSWORD} }}"))
}

/// The program under test, installed with its libtorch as `make install` does it, where any user may read it.
pub fn prefix() -> &'static Path {
    static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("opt/capfilt");
        let mut install = Command::new(repo().join("scripts/install.sh"));
        expect(install.arg(env!("CARGO_BIN_EXE_capfilt")).arg(&prefix), 0);
        prefix
    });
    &PREFIX
}

/// The PATH with the program under test in front, as an installation has it.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_capfilt")).parent().unwrap().display().to_string();
    format!("{program}:{}:/usr/sbin", std::env::var("PATH").unwrap())
}

fn assert_whole(job: &Job) {
    let verified = job.verify(0);
    assert_eq!((&verified["rows"], &verified["ok"]), (&2400.into(), &true.into()), "{verified}");
}

/// Every option that a recipe gives the program, in words as a shell would split them.
fn assert_options_exist(words: &[String]) {
    let command = words.first().unwrap();
    let help = stdout(&expect(capfilt().args([command, "--help"]), 0));
    let options: Vec<&String> = words.iter().filter(|word| word.starts_with('-')).collect();
    assert!(!options.is_empty(), "{words:?}");
    for option in options {
        assert!(
            help.split_whitespace().any(|word| word.trim_end_matches(',') == option),
            "{command} has no {option}"
        );
    }
}

#[test]
fn every_file_of_the_recipes_loads() {
    let mut seen = 0;
    for folder in ["", "container", "slurm", "kubernetes", "kubernetes/cpu", "ray", "systemd"] {
        for file in std::fs::read_dir(recipes().join(folder)).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                load(&file);
                seen += 1;
            }
        }
    }
    assert!(seen >= 14, "{seen} files");
}

fn load(file: &Path) {
    let python = |code: &str| {
        let mut command = Command::new(repo().join(".venv/bin/python"));
        command.args(["-c", code]).arg(file);
        command
    };
    match file.extension().unwrap_or_else(|| file.file_name().unwrap()).to_str().unwrap() {
        "sbatch" | "sh" => drop(expect(Command::new("bash").arg("-n").arg(file), 0)),
        "py" => drop(expect(&mut python("import ast, sys; ast.parse(open(sys.argv[1]).read())"), 0)),
        "yaml" => drop(expect(
            &mut python("import yaml, sys; assert list(yaml.safe_load_all(open(sys.argv[1])))"),
            0,
        )),
        "env" => assert_plain_variables(file),
        "service" => assert!(std::fs::read_to_string(file).unwrap().contains("[Service]")),
        "Containerfile" => assert!(std::fs::read_to_string(file).unwrap().contains("\nENTRYPOINT [")),
        "md" => {}
        _ => panic!("nothing here can tell whether {} is sound", file.display()),
    }
}

/// Shell, systemd and kubectl read equal values from such a file.
fn assert_plain_variables(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once('=').unwrap();
        assert!(name.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{line}");
        assert!(!value.contains(['"', '\'', '$', ' ', '#']), "{line}");
    }
}
