//! The second score: CLIP beside the filter, in a job, in its cuts, and of single images.

use crate::support::{
    Job, capfilt, expect, python, repo,
    small::first_rows,
    stderr, stdout,
    tables::{Tables, json_of},
};
use capfilt_blip::tensor_file::TensorFile;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn model() -> PathBuf {
    repo().join("pipeline/blip/tests/golden/clip/transformers")
}

/// A job over 60 rows, with CLIP.
fn job(input: &Path, settings: &[&str]) -> Job {
    first_rows("web-00000.parquet", 60, 20, input);
    let clip = format!("models.clip={}", model().display());
    Job::over(input.to_str().unwrap()).set(&[&clip, "shards.rows=20"]).set(settings)
}

fn texts(row: &Value) -> impl Iterator<Item = &Value> {
    row["texts"].as_array().unwrap().iter().filter(|text| text["status"] == "judged")
}

/// The texts, with the median of their CLIP scores.
fn median(ledger: &[Value]) -> f64 {
    let mut scores: Vec<f64> =
        ledger.iter().flat_map(texts).map(|text| text["clip"].as_f64().unwrap()).collect();
    scores.sort_by(f64::total_cmp);
    scores[scores.len() / 2]
}

#[test]
fn every_judged_text_has_the_clip_score_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("web.parquet");
    let job = job(&input, &["captioner.captions=2"]);
    job.run();
    assert!(job.verify(0)["problems"].as_array().unwrap().is_empty());
    let found = json_of(python("tests/clip.py").args([&job.objects, &input, &model()]));
    println!("{found}");
    assert!(found["texts"].as_u64().unwrap() > 120 && found["pairs"].as_u64().unwrap() > 40, "{found}");
    assert_eq!(found["unjudged"], 0, "{found}");
    // Of cosines: 1e-4.
    assert!(found["most"].as_f64().unwrap() < 1e-2, "{found}");
    assert!(found["high"].as_f64().unwrap() - found["low"].as_f64().unwrap() > 5.0, "{found}");
    let mut verify = capfilt();
    verify.args(["verify", "--json", "--recompute", "40", "--device", "cpu", "--job", &job.url]);
    let again: Value = serde_json::from_str(&stdout(&expect(&mut verify, 0))).unwrap();
    assert_eq!(again["recomputed"]["equal_rows"], again["recomputed"]["rows"], "{again}");
    assert_eq!(again["recomputed"]["max_clip_difference"], 0.0, "{again}");
}

#[test]
fn a_text_is_kept_when_it_reaches_both_thresholds_and_the_job_is_otherwise_as_without_clip() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("web.parquet");
    let without_thresholds = job(&input, &[]);
    without_thresholds.run();
    let plain = Tables::of(&without_thresholds).ledger;
    let least = median(&plain);
    let thresholds =
        [format!("filter.clip_web_threshold={least}"), format!("filter.clip_synthetic_threshold={least}")];
    let strict = job(&input, &[&thresholds[0], &thresholds[1]]);
    strict.run();
    strict.verify(0);
    let ledger = Tables::of(&strict).ledger;
    assert_eq!(ledger.len(), plain.len());
    let (mut kept, mut dropped) = (0, 0);
    for (row, before) in ledger.iter().zip(&plain) {
        for (text, before) in texts(row).zip(texts(before)) {
            assert_eq!(
                (&text["text"], &text["itm"], &text["itc"], &text["clip"]),
                (&before["text"], &before["itm"], &before["itc"], &before["clip"])
            );
            let should = before["kept"] == true && text["clip"].as_f64().unwrap() >= least;
            assert_eq!(text["kept"], should, "{text}");
            kept += u64::from(should);
            dropped += u64::from(before["kept"] == true && !should);
        }
    }
    assert!(kept > 10 && dropped > 10, "{kept} kept, {dropped} dropped");
    // A cut of the other job keeps the same texts, by thresholds or by a condition.
    for rule in [
        ["--clip-threshold".to_owned(), least.to_string()],
        ["--where".to_owned(), format!("clip >= {least}")],
    ] {
        let mut recut = without_thresholds.command_by_url("recut");
        let cut: Value = json_of(recut.arg("--json").args(&rule));
        let of = |source: &str| cut["sources"][source]["kept"].as_u64().unwrap();
        assert_eq!(of("caption") + of("synthetic"), kept, "{rule:?}: {cut}");
    }
    let mut cosine = without_thresholds.command_by_url("recut");
    let refused = stderr(&expect(cosine.args(["--clip-threshold", "0.28"]), 2));
    assert!(refused.contains("100 × the cosine"), "{refused}");
}

#[test]
fn captions_are_written_for_images_whose_texts_fail_the_clip_threshold_alone() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("web.parquet");
    let rescue = ["captioner.when=\"no_text_kept\"", "filter.clip_web_threshold=100"];
    let job = job(&input, &rescue);
    job.run();
    job.verify(0);
    let ledger = Tables::of(&job).ledger;
    let judged: Vec<&Value> = ledger.iter().filter(|row| row["status"] == "judged").collect();
    let has_caption = |row: &&&Value| texts(row).any(|text| text["source"] == "synthetic");
    assert!(judged.len() > 50);
    assert_eq!(judged.iter().filter(has_caption).count(), judged.len(), "no text reaches 100");
    assert!(ledger.iter().flat_map(texts).all(|text| text["clip"].is_number()));
}

#[test]
fn other_clip_weights_are_not_those_of_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("web.parquet");
    let job = job(&input, &[]);
    job.run();
    let other = format!("models.clip={}", repo().join("pipeline/blip/tests/golden/clip/open-clip").display());
    let output = expect(job.command("run").args(["-s", &other]), 3);
    assert!(stderr(&output).contains("models.clip: the checkpoint differs"), "{}", stderr(&output));
    let record: Value =
        serde_json::from_slice(&std::fs::read(job.objects.join("job.json")).unwrap()).unwrap();
    let names: Vec<&str> = record["clip"]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"]);
}

#[test]
fn score_prints_the_clip_score_of_transformers_beside_the_filter_s() {
    let golden = repo().join("pipeline/blip/tests/golden/clip");
    let tensor =
        |name: &str| TensorFile::open(&golden.join("expected.safetensors")).unwrap().read(name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image.png");
    let pixels = tensor("image.1"); // (height, width, 3)
    let bytes: Vec<u8> = Vec::try_from(pixels.contiguous().view([-1])).unwrap();
    let (height, width) = (pixels.size()[0] as u32, pixels.size()[1] as u32);
    image::RgbImage::from_raw(width, height, bytes).unwrap().save(&image).unwrap();
    let vectors = ["images", "texts"].map(|part| tensor(&format!("transformers.{part}")));
    let expected = |text: i64| 100.0 * vectors[0].get(1).dot(&vectors[1].get(text)).double_value(&[]);
    let facts: Value = serde_json::from_slice(&std::fs::read(golden.join("expected.json")).unwrap()).unwrap();
    let texts = [0, 1].map(|i| facts["texts"][i].as_str().unwrap());
    let filter = repo().join("tests/data/models/filter");
    let score = |clip: &Path, more: &[&str]| {
        let mut command = capfilt();
        command.args([
            "score",
            "--device",
            "cpu",
            "--precision",
            "f32",
            "--text",
            texts[0],
            "--text",
            texts[1],
        ]);
        command.arg("--model").arg(&filter).arg("--image").arg(&image).arg("--clip").arg(clip).args(more);
        command
    };
    let found = stdout(&expect(&mut score(&model(), &["--json"]), 0));
    let found: Value = serde_json::from_str(&found).unwrap();
    for (i, text) in found["texts"].as_array().unwrap().iter().enumerate() {
        assert!((text["clip"].as_f64().unwrap() - expected(i as i64)).abs() < 1e-2, "{text}");
        assert!(text["match"].is_number() && text["cosine"].is_number(), "{text}");
    }
    let shown = stdout(&expect(&mut score(&model(), &[]), 0));
    let number = shown.split("CLIP score ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let number: f64 = number.unwrap_or_else(|| panic!("{shown}")).parse().unwrap();
    assert!((number - expected(0)).abs() < 2e-2, "{shown}");
    let refused = stderr(&expect(&mut score(&filter, &[]), 3));
    assert!(refused.contains("model_type is \"blip\""), "{refused}");
}
