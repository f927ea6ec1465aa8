//! Training of the answerer as users run it: questions about generated pictures, whose answers are known.

use crate::support::{
    repo,
    training::{CAPFILT, Workshop, checkpoints, fails, killed_runs_end_as, succeeds},
};
use serde_json::Value;
use std::{collections::HashMap, fs, path::Path, process::Command};

/// Accuracy of a model on held-out questions, and that of the most frequent answer.
fn accuracy(model: &Path, questions: &Path, more: &[&str]) -> (f64, f64) {
    let lines = model.with_extension("jsonl");
    let mut command = Command::new(CAPFILT);
    command.args(["eval", "vqa", "--json", "--device", "cpu", "--batch", "100", "--model"]).arg(model);
    command.arg("--input").arg(questions).arg("--predictions").arg(&lines).args(more);
    let found: Value = serde_json::from_slice(&succeeds(&mut command).stdout).unwrap();
    let mut counts = HashMap::<String, u32>::new();
    let lines = fs::read_to_string(lines).unwrap();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *counts.entry(line["answers"][0].to_string()).or_default() += 1;
    }
    let all: u32 = counts.values().sum();
    assert_eq!(found["questions"], all);
    let frequent = counts.values().max().copied().unwrap_or(0);
    (found["accuracy"].as_f64().unwrap(), f64::from(frequent) / f64::from(all))
}

#[test]
fn a_short_run_answers_questions_about_new_pictures() {
    let workshop = Workshop::of("questions");
    let made = |name: &str, seed: &str, scenes: &str| {
        let mut command = Command::new(CAPFILT);
        command.args(["demo", "--make-data"]).arg(workshop.path(name));
        command.args(["--kind", "questions", "--captions-per-scene", "4", "--side", "56"]);
        succeeds(command.args(["--seed", seed, "--scenes", scenes]));
    };
    made("questions", "31", "1600");
    made("held-out", "32", "100");
    let settings = fs::read_to_string(repo().join("demo/train/vqa.toml")).unwrap();
    let settings = settings
        .replace("\"demo/models/filter\"", &format!("{:?}", repo().join("demo/models/filter")))
        .replace("\"out/world/questions\"", &format!("{:?}", workshop.path("questions")));
    fs::write(workshop.path("train.toml"), settings).unwrap();
    let folder = workshop.folder("run");
    let said = succeeds(&mut workshop.train("vqa", &[&folder, "run.epochs=1", "run.device=cpu"]));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let drawn = said.lines().find(|line| line.contains("random initialisation")).unwrap();
    assert!(drawn.contains("text_decoder.cls.") && !drawn.contains("encoder.layer"), "{drawn}");
    let model = workshop.path("run/model");
    let (generated, frequent) = accuracy(&model, &workshop.path("held-out"), &[]);
    assert!(generated > frequent + 0.25, "{generated} by generation, {frequent} by the most frequent answer");
    let list = workshop.path("answers.txt");
    fs::write(&list, "yes\nno\none\ntwo\nred\nblue\nlarge\nsmall\nleft\nright\nabove\nbelow\n").unwrap();
    let (ranked, _) =
        accuracy(&model, &workshop.path("held-out"), &["--answer-list", list.to_str().unwrap()]);
    assert!(ranked > frequent + 0.1, "{ranked} by ranking twelve answers");
    let said = succeeds(Command::new(CAPFILT).args(["lineage", "--json"]).arg(&model));
    let lineage: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&lineage["task"], &lineage["data"]["pairs"]), (&"vqa".into(), &6400.into()));
    assert_eq!(lineage["parent"]["lineage"]["task"], "filter");
}

#[test]
fn a_killed_run_of_the_answerer_ends_with_the_same_weights() {
    let workshop = Workshop::of("questions");
    let own = ["model.sharing=\"none\"", "objective.max_tokens=40", "model.image_size=0", "run.epochs=6"];
    let undisturbed = workshop.folder("undisturbed");
    succeeds(&mut workshop.train("vqa", &[&[undisturbed.as_str()], own.as_slice()].concat()));
    let undisturbed = checkpoints(&workshop.path("undisturbed"));
    assert_eq!(undisturbed.last().unwrap().0, "step-00000060", "120 questions six times, 12 a step");
    killed_runs_end_as(&workshop, "vqa", &own, &undisturbed);
}

#[test]
fn the_answerer_s_settings_and_columns_are_refused_by_name() {
    let workshop = Workshop::of("questions");
    let mut settings = fs::read_to_string(workshop.path("train.toml")).unwrap();
    for (change, words) in [
        ("question = \"nothing\"", ["nothing", "data.question or data.answers"]),
        ("answers = \"absent\"", ["absent", "data.question or data.answers"]),
        ("text = \"question\"", ["data.text", "data.question"]),
        ("answer_weight = -1.0", ["data.answer_weight", "above 0"]),
    ] {
        fs::write(workshop.path("train.toml"), format!("{settings}{change}\n")).unwrap();
        let said = fails(&mut workshop.train("vqa", &[]), 2);
        words.iter().for_each(|word| assert!(said.contains(word), "{change}: {said}"));
    }
    settings.push_str("answer_weight = 0.2\n");
    fs::write(workshop.path("train.toml"), settings).unwrap();
    let said = fails(&mut workshop.train("captioner", &[]), 2);
    assert!(said.contains("data.answer_weight") && said.contains("train vqa"), "{said}");
}
