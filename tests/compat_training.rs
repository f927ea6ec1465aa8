//! Training runs, training checkpoints and models that an earlier version of capfilt wrote are resumed,
//! trained on and loaded by this one.
//!
//! `tests/data/compat/training` was written by version 0.1.0 of 29 November 2026 (commit cc87113) over an S3
//! server, whose ETags follow from the content: `train pretrain` over 24 pairs, stopped after step 9 of 20.

use crate::{
    compat::copy_all,
    s3,
    support::{capfilt, expect, repo, s3::S3, stderr},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The earlier version's run in a folder, with its data in a bucket.
struct EarlierRun {
    folder: tempfile::TempDir,
    s3: S3,
}

impl EarlierRun {
    fn new() -> Self {
        let (folder, s3) = (tempfile::tempdir().unwrap(), S3::start());
        let kept = repo().join("tests/data/compat/training");
        s3.put_folder("human", &kept.join("human"));
        for name in ["run", "vocabulary"] {
            copy_all(&kept.join(name), &folder.path().join(name));
        }
        fs::copy(kept.join("train.toml"), folder.path().join("train.toml")).unwrap();
        Self { folder, s3 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `capfilt train TASK` with the earlier settings, whose paths are relative.
    fn train(&self, task: &str, overrides: &[&str]) -> Command {
        let mut command = capfilt();
        command.args(["train", task, "-c", "train.toml"]).current_dir(self.folder.path());
        command.envs(self.s3.env());
        overrides.iter().for_each(|entry| {
            command.args(["-s", entry]);
        });
        command
    }
}

/// Steps of a run's log.
fn steps(run: &Path) -> Vec<u64> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let step = |line: &str| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap();
    log.lines().map(step).collect()
}

#[test]
fn a_training_run_of_an_earlier_version_goes_on_where_it_was_stopped() {
    let earlier = EarlierRun::new();
    let run = earlier.path("run");
    assert_eq!(steps(&run).last(), Some(&9));
    let checkpoint = run.join("checkpoints/step-00000009");
    let before = fs::read(checkpoint.join("training.safetensors")).unwrap();
    expect(&mut earlier.train("pretrain", &[]), 0);
    assert_eq!(steps(&run), (1..=20).collect::<Vec<_>>(), "the run does not begin again");
    assert_eq!(fs::read(checkpoint.join("training.safetensors")).unwrap(), before);
    assert!(run.join("checkpoints/step-00000020/state.json").is_file());
}

#[test]
fn a_model_of_an_earlier_version_s_run_is_a_start_for_a_filter_and_a_captioner() {
    let earlier = EarlierRun::new();
    for task in ["filter", "captioner"] {
        let folder = format!("run.folder={task}");
        let from = "model.from=run/model";
        expect(&mut earlier.train(task, &[&folder, from, "model.image_size=0", "run.max_steps=2"]), 0);
        let lineage = expect(capfilt().args(["lineage", "--json"]).arg(earlier.path(task).join("model")), 0);
        let lineage: Value = serde_json::from_slice(&lineage.stdout).unwrap();
        assert_eq!(
            (&lineage["task"], &lineage["parent"]["lineage"]["task"]),
            (&task.into(), &"pretrain".into())
        );
    }
}

#[test]
fn the_pairs_of_an_earlier_version_s_job_are_trained_on() {
    let earlier = EarlierRun::new();
    let s3 = &earlier.s3;
    s3.put("web/a.parquet", &repo().join("tests/data/compat/web.parquet"));
    s3::put_models(s3);
    copy_all(&repo().join("tests/data/compat/job"), &s3.file("jobs/done"));
    let settings = fs::read_to_string(earlier.path("train.toml")).unwrap();
    let data = format!("{settings}\n[[data]]\njob = \"{}\"\n", s3.url("jobs/done"));
    fs::write(earlier.path("train.toml"), data).unwrap();
    let said = stderr(&expect(&mut earlier.train("pretrain", &["run.folder=on-job", "run.max_steps=3"]), 0));
    assert_eq!(steps(&earlier.path("on-job")), [1, 2, 3], "{said}");
}
