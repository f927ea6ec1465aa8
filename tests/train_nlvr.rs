//! Training of the reasoner as users run it: statements about pairs of generated pictures, whose truth is
//! known; and the judgement of statements by `score --pair` and `eval nlvr`.

use crate::support::{
    capfilt, expect, repo, stderr, stdout,
    training::{CAPFILT, Workshop, checkpoints, fails, killed_runs_end_as, succeeds},
};
use capfilt_blip::tensor_file::TensorFile;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Results of a step-by-step reference for a tiny random model: `pipeline/blip/tests/golden/README.md`.
fn golden(name: &str) -> PathBuf {
    repo().join("pipeline/blip/tests/golden/pairs").join(name)
}

fn json_of(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(&expect(command.arg("--json"), 0))).unwrap()
}

/// The golden pictures as PNG files.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let pixels = TensorFile::open(&golden("expected.safetensors")).unwrap().read("pixels_u8").unwrap();
    let side = pixels.size()[1] as u32;
    let save = |i: i64| {
        let bytes: Vec<u8> = Vec::try_from(pixels.get(i).contiguous().view([-1])).unwrap();
        let path = folder.join(format!("{i}.png"));
        image::save_buffer(&path, &bytes, side, side, image::ColorType::Rgb8).unwrap();
        path
    };
    (0..3).map(save).collect()
}

fn scored(images: &[&PathBuf], text: &str) -> Command {
    let mut command = capfilt();
    command.args(["score", "--pair", "--device", "cpu", "--precision", "f32", "--text", text, "--model"]);
    command.arg(golden("reasoner-original/model_base_nlvr.pth"));
    images.iter().for_each(|image| _ = command.arg("--image").arg(image));
    command
}

#[test]
fn the_truth_of_a_statement_about_two_images_is_that_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let images = pictures(folder.path());
    let facts: Value = serde_json::from_slice(&fs::read(golden("expected.json")).unwrap()).unwrap();
    let logits = TensorFile::open(&golden("expected.safetensors")).unwrap().read("logits").unwrap();
    let truth = logits.softmax(-1, tch::Kind::Float);
    for (i, row) in facts["rows"].as_array().unwrap().iter().enumerate() {
        let number = |at: usize| row[at].as_u64().unwrap() as usize;
        let text = facts["statements"][number(2)].as_str().unwrap();
        let found = json_of(&mut scored(&[&images[number(0)], &images[number(1)]], text));
        assert_eq!(found["texts"][0]["text"], text);
        let error = found["texts"][0]["true"].as_f64().unwrap() - truth.double_value(&[i as i64, 1]);
        assert!(error.abs() <= 1e-4, "{text}: {error}");
    }
    let page = stdout(&expect(&mut scored(&[&images[0], &images[1]], "the cat"), 0));
    assert!(page.starts_with("true 0.") && page.ends_with("the cat\n"), "{page}");
    let said = stderr(&expect(&mut scored(&[&images[0]], "the cat"), 2));
    assert!(said.contains("--pair needs two images, not 1"), "{said}");
    let mut other = scored(&[&images[0], &images[1]], "the cat");
    other.arg("--clip").arg("clip");
    expect(&mut other, 2);
}

/// Accuracy of a model on statements, in all and by form.
fn evaluated(model: &Path, statements: &Path, more: &[&str]) -> Value {
    let mut command = Command::new(CAPFILT);
    command.args(["eval", "nlvr", "--json", "--device", "cpu", "--by", "form", "--model"]).arg(model);
    let output = succeeds(command.arg("--input").arg(statements).args(more));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn accuracy_is_that_of_the_written_judgements_and_batches_change_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("statements");
    let made = ["--kind", "statements", "--scenes", "60", "--side", "64"];
    expect(capfilt().args(["demo", "--make-data"]).arg(&data).args(made), 0);
    let model = golden("reasoner-original");
    let lines = folder.path().join("lines.jsonl");
    let found = evaluated(&model, &data, &["--batch", "32", "--predictions", lines.to_str().unwrap()]);
    assert_eq!((&found["statements"], &found["skipped"]), (&json!(60), &json!(0)));
    let lines = fs::read_to_string(&lines).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let right = |line: &&Value| (line["true_probability"].as_f64().unwrap() > 0.5) == line["label"];
    let share = lines.iter().filter(right).count() as f64 / 60.0;
    assert!((found["accuracy"].as_f64().unwrap() - share).abs() < 1e-12, "{found} {share}");
    let groups = found["groups"].as_object().unwrap();
    assert_eq!(groups.values().map(|group| group["statements"].as_u64().unwrap()).sum::<u64>(), 60);
    assert!(
        groups.len() > 3 && lines.iter().all(|line| groups.contains_key(line["group"].as_str().unwrap()))
    );
    let one_by_one = evaluated(&model, &data, &["--batch", "1"]);
    assert_eq!(one_by_one["groups"], found["groups"]);
    assert_eq!(evaluated(&model, &data, &["--statements", "7"])["statements"], 7);
    let mut wrong = capfilt();
    wrong.args(["eval", "nlvr", "--label", "url", "--model"]).arg(&model).arg("--input").arg(&data);
    let said = stderr(&expect(&mut wrong, 2));
    assert!(said.contains("are --image, --second-image, --statement and --label its columns?"), "{said}");
    let mut wrong = capfilt();
    wrong.args(["eval", "nlvr", "--second-image", "url", "--model"]).arg(&model).arg("--input").arg(&data);
    let said = stderr(&expect(&mut wrong, 2));
    assert!(said.contains("`url` is Utf8, expected image bytes"), "{said}");
}

#[test]
fn a_run_from_the_filter_reports_its_new_layers_and_its_lineage() {
    let workshop = Workshop::of("statements");
    let settings = fs::read_to_string(repo().join("demo/train/nlvr.toml")).unwrap();
    let settings = settings
        .replace("\"demo/models/filter\"", &format!("{:?}", repo().join("demo/models/filter")))
        .replace("\"out/world/statements\"", &format!("{:?}", workshop.path("data")));
    fs::write(workshop.path("train.toml"), settings).unwrap();
    let few = ["run.max_steps=2", "run.batch=8", "run.device=cpu"];
    let folder = workshop.folder("run");
    let said = succeeds(&mut workshop.train("nlvr", &[&[folder.as_str()], few.as_slice()].concat()));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let drawn = said.lines().find(|line| line.contains("random initialisation")).unwrap();
    assert!(drawn.contains("cls_head.0.weight") && drawn.contains("merge_layer"), "{drawn}");
    assert!(!drawn.contains("self0") && !drawn.contains("layer.0."), "{drawn}");
    let model = workshop.path("run/model");
    let found = evaluated(&model, &workshop.path("data"), &["--batch", "100"]);
    assert_eq!((&found["statements"], &found["skipped"]), (&json!(120), &json!(0)));
    let said = succeeds(Command::new(CAPFILT).args(["lineage", "--json"]).arg(&model));
    let lineage: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&lineage["task"], &lineage["data"]["pairs"]), (&"nlvr".into(), &120.into()));
    assert_eq!(lineage["parent"]["lineage"]["task"], "filter");
}

#[test]
fn a_killed_run_of_the_reasoner_ends_with_the_same_weights() {
    let workshop = Workshop::of("statements");
    let own = ["model.sharing=\"none\"", "objective.max_tokens=40", "model.image_size=0", "run.epochs=6"];
    let undisturbed = workshop.folder("undisturbed");
    succeeds(&mut workshop.train("nlvr", &[&[undisturbed.as_str()], own.as_slice()].concat()));
    let undisturbed = checkpoints(&workshop.path("undisturbed"));
    assert_eq!(undisturbed.last().unwrap().0, "step-00000060", "120 statements six times, 12 a step");
    killed_runs_end_as(&workshop, "nlvr", &own, &undisturbed);
}

#[test]
fn the_reasoner_s_settings_and_columns_are_refused_by_name() {
    let workshop = Workshop::of("statements");
    let mut settings = fs::read_to_string(workshop.path("train.toml")).unwrap();
    for (change, words) in [
        ("statement = \"nothing\"", ["nothing", "data.statement"]),
        ("second_image = \"absent\"", ["absent", "data.second_image or data.label"]),
        ("label = \"absent\"", ["absent", "data.second_image or data.label"]),
        ("text = \"statement\"", ["data.text", "data.statement"]),
        ("label = \"url\"", ["two images, a statement and its label", "none of its"]),
    ] {
        fs::write(workshop.path("train.toml"), format!("{settings}{change}\n")).unwrap();
        let code = if change.starts_with("label = \"url\"") { 3 } else { 2 };
        let own = ["objective.max_tokens=40", "model.image_size=0"];
        let said = fails(&mut workshop.train("nlvr", &own), code);
        words.iter().for_each(|word| assert!(said.contains(word), "{change}: {said}"));
    }
    settings.push_str("second_image = \"right\"\n");
    fs::write(workshop.path("train.toml"), settings).unwrap();
    let said = fails(&mut workshop.train("vqa", &[]), 2);
    assert!(said.contains("data.second_image") && said.contains("train nlvr"), "{said}");
}
