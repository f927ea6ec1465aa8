//! A folder with pictures and a tokenizer, and training runs in it that are killed and resumed.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

pub const CAPFILT: &str = env!("CARGO_BIN_EXE_capfilt");

/// Pictures and a tokenizer, and settings of a model that learns a step in milliseconds.
pub struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    /// 60 pictures with two captions each.
    pub fn new() -> Self {
        Self::of("human")
    }

    /// 60 pictures with two texts each of a kind of the demo.
    pub fn of(kind: &str) -> Self {
        let workshop = Self { folder: tempfile::tempdir().unwrap() };
        let at = |name: &str| workshop.path(name).display().to_string();
        let made = ["--kind", kind, "--scenes", "60", "--captions-per-scene", "2", "--side", "32"];
        succeeds(Command::new(CAPFILT).args(["demo", "--make-data", &at("data")]).args(made));
        succeeds(Command::new(CAPFILT).args(["demo", "--make-vocabulary", &at("vocabulary")]));
        let settings = format!(
            r#"
[run]
folder = "{run}"
device = "cpu"
epochs = 2
batch = 12
log_every = 2
save_every = 3
keep = 100
[model]
vocabulary = "{vocabulary}"
dropout = 0.1
[sizes]
image_size = 32
patch_size = 8
vision_width = 16
vision_layers = 2
vision_heads = 2
text_width = 16
text_layers = 2
text_heads = 2
positions = 40
projection = 8
[objective]
queue = 48
[optimizer]
warmup_steps = 5
[[data]]
url = "{data}"
"#,
            run = at("run"),
            vocabulary = at("vocabulary"),
            data = at("data"),
        );
        fs::write(workshop.path("train.toml"), settings).unwrap();
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn train(&self, task: &str, overrides: &[&str]) -> Command {
        let mut command = Command::new(CAPFILT);
        command.args(["train", task, "-c"]).arg(self.path("train.toml"));
        for entry in overrides {
            command.args(["-s", entry]);
        }
        command
    }

    /// `run.folder=…`, as an override.
    pub fn folder(&self, name: &str) -> String {
        format!("run.folder={}", self.path(name).display())
    }
}

pub fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Fails with this exit code; returns what it says.
pub fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    said
}

/// Names of the checkpoints and the bytes of their tensors.
pub fn checkpoints(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path.join("training.safetensors")).unwrap())
    };
    all.iter().filter(|path| path.extension().is_none()).map(read).collect()
}

/// Runs a training to its end while it is killed at random times. Its folder is `killed`, the overrides are
/// those of the run. The checkpoints must equal those of the undisturbed run.
pub fn killed_runs_end_as(
    workshop: &Workshop,
    task: &str,
    overrides: &[&str],
    undisturbed: &[(String, Vec<u8>)],
) {
    let folder = workshop.folder("killed");
    let overrides = [&[folder.as_str()], overrides].concat();
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for kill in 0.. {
        assert!(kill < 200, "the run makes no headway");
        let mut child =
            workshop.train(task, &overrides).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // On a machine with much other work, a process may need longer to start.
        let patience = Duration::from_millis(random.random_range(300..1200) + 50 * kill);
        let started = Instant::now();
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if started.elapsed() > patience => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if let Some(status) = ended {
            assert!(status.success());
            println!("killed {kill} times");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let again = checkpoints(&workshop.path("killed"));
    assert_eq!(names(&again), names(undisturbed));
    for ((name, ours), (_, theirs)) in again.iter().zip(undisturbed) {
        assert!(ours == theirs, "{name} has other weights: {}", difference(ours, theirs));
    }
    assert!(!workshop.path("killed/model.unfinished").exists());
}

/// A tensor's name and bytes.
type Named = (String, Vec<u8>);

/// Tensors of two files of safetensors that differ, each with the number of other bytes and the first one.
fn difference(ours: &[u8], theirs: &[u8]) -> String {
    let [ours, theirs] = [ours, theirs].map(|file| {
        let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let named: serde_json::Map<String, Value> = serde_json::from_slice(&file[8..header]).unwrap();
        let tensor = |(name, about): (String, Value)| {
            let [from, to] = [0, 1].map(|i| about["data_offsets"][i].as_u64().unwrap() as usize + header);
            (name, file[from..to].to_vec())
        };
        named.into_iter().filter(|(name, _)| name != "__metadata__").map(tensor).collect::<Vec<Named>>()
    });
    let different = |((name, ours), (_, theirs)): (&Named, &Named)| {
        let others = ours.iter().zip(theirs).enumerate().filter(|(_, (a, b))| a != b);
        let places: Vec<usize> = others.map(|(at, _)| at).collect();
        let first = places.first()?;
        Some(format!("{name}: {} of {} bytes, from byte {first} on", places.len(), ours.len()))
    };
    ours.iter().zip(&theirs).filter_map(different).collect::<Vec<_>>().join("; ")
}
