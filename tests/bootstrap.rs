//! The loop as users run it: two rounds of pre-training, filter, captioner and cleaning, killed at every
//! step.

use crate::support::{capfilt, expect, stderr, stdout};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const STEPS: [&str; 9] = [
    "round-1/pretrain",
    "round-1/filter",
    "round-1/captioner",
    "round-1/clean",
    "round-2/pretrain",
    "round-2/filter",
    "round-2/captioner",
    "round-2/clean",
    "final/pretrain",
];

/// A loop's settings over pictures of the demo's world, with models that learn a step in milliseconds.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().unwrap() };
        for (kind, scenes) in [("human", "60"), ("web", "80")] {
            let made = ["--kind", kind, "--scenes", scenes, "--side", "32"];
            expect(capfilt().args(["demo", "--make-data"]).arg(workshop.path(kind)).args(made), 0);
        }
        expect(capfilt().args(["demo", "--make-vocabulary"]).arg(workshop.path("vocabulary")), 0);
        let run = "[run]\ndevice = \"cpu\"\nepochs = 1\nbatch = 12\nlog_every = 2\nsave_every = 2\n\
            [objective]\nqueue = 24\n";
        let sizes = "[sizes]\nimage_size = 32\npatch_size = 8\nvision_width = 16\nvision_layers = 1\n\
            vision_heads = 2\n\
                     text_width = 16\ntext_layers = 1\ntext_heads = 2\npositions = 40\nprojection = 8\n";
        let vocabulary = workshop.path("vocabulary");
        workshop.write("pretrain.toml", &format!("{run}[model]\nvocabulary = {vocabulary:?}\n{sizes}"));
        workshop.write("filter.toml", &format!("{run}[model]\nimage_size = 0\n"));
        workshop
            .write("captioner.toml", &run.replace("[objective]\nqueue = 24\n", "[model]\nimage_size = 0\n"));
        // Models that know next to nothing say one third to everything; a part of it is to be kept.
        workshop.write(
            "job.toml",
            "[captioner]\nmax_length = 12\nmin_length = 2\n[filter]\nweb_threshold = 0.3\n\
             synthetic_threshold = 0.3\n\
             [workers]\ndevices = [\"cpu\"]\nmodel_threads = 1\ndecode_threads = 1\n[models]\n\
             precision = \"f32\"\n",
        );
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A loop in a separate folder.
    fn bootstrap(&self, folder: &str) -> Command {
        let text = format!(
            "[loop]\nfolder = {:?}\nrounds = 2\npretrain = \"pretrain.toml\"\nfilter = \"filter.toml\"\n\
             captioner = \"captioner.toml\"\njob = \"job.toml\"\n[[human]]\nurl = {:?}\n[web]\nurl = {:?}\n",
            self.path(folder),
            self.path("human"),
            self.path("web"),
        );
        self.write(&format!("{folder}.toml"), &text);
        let mut command = capfilt();
        command.args(["bootstrap", "-c"]).arg(self.path(&format!("{folder}.toml")));
        command
    }
}

fn state(folder: &Path) -> Value {
    fs::read(folder.join("loop.json")).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
}

/// Names, inputs and digests of the steps that were done, in their order.
fn done(folder: &Path) -> Vec<[String; 3]> {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = state(folder)["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().map(|step| ["step", "inputs", "digest"].map(|key| text(step, key))).collect()
}

#[test]
fn two_rounds_end_with_the_same_model_though_the_loop_is_killed_at_every_step() {
    let workshop = Workshop::new();
    let whole = expect(&mut workshop.bootstrap("whole"), 0);
    let model = PathBuf::from(stdout(&whole).trim());
    let undisturbed = done(&workshop.path("whole"));
    assert_eq!(undisturbed.iter().map(|step| step[0].as_str()).collect::<Vec<_>>(), STEPS);

    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let killed = workshop.path("killed");
    let mut kills = 0;
    for steps in 1..=STEPS.len() {
        // Right after it was done; of every third step also somewhere within.
        let within =
            steps.is_multiple_of(3).then(|| Some(Duration::from_millis(random.random_range(50..900))));
        for patience in within.into_iter().chain([None]) {
            let mut child =
                workshop.bootstrap("killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let started = Instant::now();
            while child.try_wait().unwrap().is_none()
                && done(&killed).len() < steps
                && patience.is_none_or(|patience| started.elapsed() < patience)
            {
                assert!(started.elapsed() < Duration::from_secs(300), "step {steps} hangs");
                std::thread::sleep(Duration::from_millis(2));
            }
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            child.wait().unwrap();
        }
        assert!(done(&killed).len() >= steps, "step {steps} was not done");
    }
    println!("killed {kills} times");
    assert!(kills >= STEPS.len(), "{kills}");
    let again = expect(&mut workshop.bootstrap("killed"), 0);
    assert_eq!(stderr(&again).matches(": unchanged, ").count(), STEPS.len(), "{}", stderr(&again));
    assert_eq!(done(&killed), undisturbed, "another folder, the same weights and pairs");
    let again = PathBuf::from(stdout(&again).trim());
    let tensors = |model: &Path| {
        let bytes = fs::read(model.join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    assert!(tensors(&model) == tensors(&again), "the last models differ");
}

#[test]
fn a_step_is_done_again_when_what_it_is_made_from_changes_and_only_then() {
    let workshop = Workshop::new();
    let one_round = |settings: &str| {
        let mut command = workshop.bootstrap(settings);
        command.args(["-s", "loop.rounds=1"]);
        stderr(&expect(&mut command, 0))
    };
    one_round("loop");
    let unchanged = |said: &str| {
        let lines = said.lines().filter_map(|line| line.split_once(": unchanged, "));
        lines.map(|(step, _)| step.to_owned()).collect::<Vec<_>>()
    };
    let all = ["round-1/pretrain", "round-1/filter", "round-1/captioner", "round-1/clean", "final/pretrain"];
    // How often a run saves decides nothing.
    let captioner = fs::read_to_string(workshop.path("captioner.toml")).unwrap();
    workshop.write("captioner.toml", &captioner.replace("save_every = 2", "save_every = 3"));
    assert_eq!(unchanged(&one_round("loop")), all);
    // How a job judges does, and so all that is made from what it keeps.
    let job = fs::read_to_string(workshop.path("job.toml")).unwrap();
    workshop.write("job.toml", &job.replace("web_threshold = 0.3", "web_threshold = 0.99"));
    assert_eq!(unchanged(&one_round("loop")), all[..3]);
    // A model that was lost is made again, to the same weights, so that nothing after it is.
    let state = state(&workshop.path("loop"));
    let filter =
        state["steps"].as_array().unwrap().iter().find(|step| step["step"] == "round-1/filter").unwrap();
    fs::remove_dir_all(filter["made"].as_str().unwrap()).unwrap();
    assert_eq!(unchanged(&one_round("loop")), [all[0], all[2], all[3], all[4]]);
}

#[test]
fn a_loop_with_wrong_settings_stops_before_its_first_step_and_names_them() {
    let workshop = Workshop::new();
    let refused = |overrides: &[&str]| {
        let mut command = workshop.bootstrap("loop");
        for entry in overrides {
            command.args(["-s", entry]);
        }
        stderr(&expect(&mut command, 2))
    };
    assert!(refused(&["loop.rounds=0"]).contains("loop.rounds"));
    assert!(refused(&["loop.pretrain=nowhere.toml"]).contains("nowhere.toml"));
    assert!(refused(&["web.url="]).contains("web.url"));
    workshop.write("pretrain.toml", "[run]\nbatc = 12\n");
    assert!(refused(&[]).contains("did you mean `batch`"));
}
