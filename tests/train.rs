//! Training as users run it: on pictures whose captions are known, killed and taken up again, and with
//! settings that are wrong.

use crate::support::tools;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const CAPFILT: &str = env!("CARGO_BIN_EXE_capfilt");

/// Pictures and a tokenizer, and settings of a model that learns a step in milliseconds.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().unwrap() };
        let at = |name: &str| workshop.path(name).display().to_string();
        let made = ["--kind", "human", "--scenes", "60", "--captions-per-scene", "2", "--side", "32"];
        succeeds(Command::new(CAPFILT).args(["demo", "--make-data", &at("human")]).args(made));
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
            data = at("human"),
        );
        fs::write(workshop.path("train.toml"), settings).unwrap();
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn train(&self, task: &str, overrides: &[&str]) -> Command {
        let mut command = Command::new(CAPFILT);
        command.args(["train", task, "-c"]).arg(self.path("train.toml"));
        for entry in overrides {
            command.args(["-s", entry]);
        }
        command
    }

    /// `run.folder=…`, as an override.
    fn folder(&self, name: &str) -> String {
        format!("run.folder={}", self.path(name).display())
    }
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Fails with this exit code; returns what it says.
fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    said
}

/// Names of the checkpoints and the bytes of their tensors.
fn checkpoints(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path.join("training.safetensors")).unwrap())
    };
    all.iter().filter(|path| path.extension().is_none()).map(read).collect()
}

#[test]
fn a_killed_run_goes_on_to_the_same_weights() {
    let workshop = Workshop::new();
    let epochs = "run.epochs=6";
    succeeds(&mut workshop.train("pretrain", &[&workshop.folder("undisturbed"), epochs]));
    let undisturbed = checkpoints(&workshop.path("undisturbed"));
    assert_eq!(undisturbed.last().unwrap().0, "step-00000060", "120 pairs six times, 12 a step");

    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let killed = workshop.path("killed");
    for kill in 0.. {
        assert!(kill < 200, "the run makes no headway");
        let mut child = workshop
            .train("pretrain", &[&workshop.folder("killed"), epochs])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
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
    let again = checkpoints(&killed);
    assert_eq!(names(&again), names(&undisturbed));
    for ((name, ours), (_, theirs)) in again.iter().zip(&undisturbed) {
        assert!(ours == theirs, "{name} has other weights");
    }
    assert!(!killed.join("model.unfinished").exists());
    let metrics = fs::read_to_string(killed.join("metrics.jsonl")).unwrap();
    let steps: Vec<u64> = metrics
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert!(steps.is_sorted_by(|a, b| a < b), "every step is reported once: {steps:?}");
}

#[test]
fn filter_and_captioner_come_from_the_pre_trained_model_and_know_it() {
    let workshop = Workshop::new();
    succeeds(&mut workshop.train("pretrain", &["run.max_steps=4"]));
    let from = format!("model.from={}", workshop.path("run/model").display());
    for (task, losses) in [("filter", vec!["itc", "itm"]), ("captioner", vec!["lm"])] {
        let folder = workshop.folder(task);
        succeeds(&mut workshop.train(task, &[&folder, &from, "model.image_size=0", "run.max_steps=4"]));
        let said = succeeds(
            Command::new(CAPFILT).args(["lineage", "--json"]).arg(workshop.path(task).join("model")),
        );
        let lineage: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(lineage["task"], task);
        assert_eq!(lineage["parent"]["lineage"]["task"], "pretrain");
        assert_eq!(lineage["parent"]["lineage"]["data"], lineage["data"]);
        let line = fs::read_to_string(workshop.path(task).join("metrics.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        for loss in ["itc", "itm", "lm"] {
            assert_eq!(line[loss].is_number(), losses.contains(&loss), "{task} reports {loss}: {line}");
        }
    }
    // The models are models: the program that cleans loads them.
    let picture = workshop.path("picture.png");
    image::RgbImage::from_pixel(40, 40, image::Rgb([200, 30, 30])).save(&picture).unwrap();
    let text = "a large red square";
    let scored = Command::new(CAPFILT)
        .args(["score", "--json", "--device", "cpu", "--model"])
        .arg(workshop.path("filter/model"))
        .arg("--image")
        .arg(&picture)
        .args(["--text", text])
        .output()
        .unwrap();
    assert!(scored.status.success(), "{}", String::from_utf8_lossy(&scored.stderr));
}

#[test]
fn a_captioner_is_a_start_for_a_filter_and_a_filter_for_a_captioner() {
    let workshop = Workshop::new();
    for (first, second, drawn) in
        [("captioner", "filter", "itm_head.weight"), ("filter", "captioner", "text_decoder.cls")]
    {
        let (folder, behind) = (workshop.folder(first), workshop.folder(&format!("{second} from it")));
        succeeds(&mut workshop.train(first, &[&folder, "model.image_size=0", "run.max_steps=2"]));
        let from = format!("model.from={}", workshop.path(first).join("model").display());
        let said =
            succeeds(&mut workshop.train(second, &[&behind, &from, "model.image_size=0", "run.max_steps=2"]));
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let line = said.lines().find(|line| line.contains("random initialisation"));
        let line = line.unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains(drawn) && !line.contains("encoder.layer"), "{line}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let workshop = Workshop::new();
    for (overrides, code, words) in [
        (vec!["run.batch=500", "objective.queue=500"], 2, vec!["120 pairs", "500"]),
        (vec!["objective.queue=50"], 2, vec!["objective.queue = 50", "multiple of run.batch"]),
        (vec!["objective.max_tokens=60"], 2, vec!["max_tokens = 60", "40 positions"]),
        (vec!["sizes.vision_heads=3"], 2, vec!["16", "3 heads"]),
        (vec!["optimizer.learning_rat=1"], 2, vec!["did you mean `learning_rate`"]),
        (vec!["model.vocabulary=/nowhere"], 2, vec!["/nowhere", "tokenizer"]),
        (
            vec!["optimizer.learning_rate=1e30", "optimizer.warmup_steps=0"],
            3,
            vec!["not a number", "last checkpoint"],
        ),
    ] {
        let folder = workshop.folder(&format!("refused-{code}-{}", words[0].len()));
        let mut all = vec![folder.as_str()];
        all.extend(overrides);
        let said = fails(&mut workshop.train("pretrain", &all), code);
        words.iter().for_each(|word| assert!(said.contains(word), "{all:?}: {said}"));
    }
    // A checkpoint of other widths, and other settings in mid-run.
    succeeds(&mut workshop.train("pretrain", &["run.max_steps=3"]));
    let said =
        fails(&mut workshop.train("pretrain", &["run.max_steps=6", "optimizer.learning_rate=1e-4"]), 3);
    assert!(said.contains("other settings or data"), "{said}");
}

/// A full disk: a separate small file system, which root can mount.
#[test]
fn a_full_disk_leaves_the_last_checkpoint_whole() {
    let workshop = Workshop::new();
    let disk = workshop.path("disk");
    fs::create_dir_all(&disk).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1300k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        tools::skip(&tools::MOUNT);
        return;
    }
    let run = disk.join("run");
    let said = workshop.train("pretrain", &[&format!("run.folder={}", run.display())]).output().unwrap();
    let kept = checkpoints(&run);
    let left: Vec<String> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    Command::new("umount").arg(&disk).status().unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(3), "{text}");
    assert!(text.contains("No space left on device") && text.contains("safetensors"), "{text}");
    assert!(!kept.is_empty() && left.iter().all(|name| !name.ends_with("unfinished")), "{left:?}: {text}");
}
