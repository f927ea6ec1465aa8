//! Training as users run it: on pictures whose captions are known, killed and taken up again, and with
//! settings that are wrong.

use crate::support::{
    tools,
    training::{CAPFILT, Workshop, checkpoints, fails, killed_runs_end_as, succeeds},
};
use std::{fs, process::Command};

#[test]
fn a_killed_run_goes_on_to_the_same_weights() {
    let workshop = Workshop::new();
    let epochs = "run.epochs=6";
    succeeds(&mut workshop.train("pretrain", &[&workshop.folder("undisturbed"), epochs]));
    let undisturbed = checkpoints(&workshop.path("undisturbed"));
    assert_eq!(undisturbed.last().unwrap().0, "step-00000060", "120 pairs six times, 12 a step");

    killed_runs_end_as(&workshop, "pretrain", &[epochs], &undisturbed);
    let killed = workshop.path("killed");
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
