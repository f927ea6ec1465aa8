//! How good a filter and a captioner are, as the program tells it.

use crate::support::{
    Job, capfilt, expect, repo, stderr, stdout,
    tables::{Tables, captions},
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

fn eval(what: &str, model: &str, input: &Path) -> Command {
    let mut command = capfilt();
    command.args(["eval", what, "--device", "cpu", "--precision", "f32", "--model"]);
    command.arg(repo().join("tests/data/models").join(model)).arg("--input").arg(input);
    command
}

fn shown(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(&expect(command.arg("--json"), 0))).unwrap()
}

#[test]
fn a_trained_filter_finds_the_texts_of_its_images_and_matching_finds_more_than_cosines() {
    let web = repo().join("tests/data/web/web-00000.parquet");
    let truly = ["--where", "truth = 'true'", "--images", "60"];
    let found = shown(eval("retrieval", "filter", &web).args(truly));
    assert_eq!([&found["images"], &found["texts"]], [&json!(60), &json!(60)]);
    assert!(found["skipped"].as_u64().unwrap() > 0, "rows that are not wanted are counted: {found}");
    let at = |what: &str, k: &str| found[what][k].as_f64().unwrap();
    for what in ["text_by_cosine", "image_by_cosine", "text_by_match", "image_by_match"] {
        assert!(at(what, "r1") <= at(what, "r5") && at(what, "r5") <= at(what, "r10"), "{found}");
        // Chance finds one in sixty at the first try, and one in six within ten.
        assert!(at(what, "r1") > 20.0 && at(what, "r10") > 60.0, "{found}");
    }
    assert!(at("text_by_match", "r1") >= at("text_by_cosine", "r1"), "{found}");
    let mean = ["text_by_match", "image_by_match"]
        .map(|what| ["r1", "r5", "r10"].map(|k| at(what, k)).iter().sum::<f64>());
    assert!((found["r_mean"].as_f64().unwrap() - (mean[0] + mean[1]) / 6.0).abs() < 1e-9);

    let few = shown(eval("retrieval", "filter", &web).args(["--images", "10", "--top-k", "0"]));
    assert_eq!(
        [&few["images"], &few["texts"], &few["text_by_match"]],
        [&json!(10), &json!(10), &Value::Null]
    );
    let page = stdout(&expect(eval("retrieval", "filter", &web).args(truly), 0));
    assert!(
        page.contains(&format!("text for image, by cosine      {:6.1}", at("text_by_cosine", "r1"))),
        "{page}"
    );
}

#[test]
fn captions_are_those_a_job_writes_and_as_true_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    let made = ["--scenes", "120", "--seed", "31", "--side", "64", "--group-rows", "60"];
    expect(capfilt().args(["demo", "--make-data"]).arg(&web).args(made), 0);
    let job = Job::over(web.to_str().unwrap()).set(&["job.seed=5", "shards.rows=60"]);
    job.run();
    let truth = expect(capfilt().args(["demo", "--json", "--truth", &job.url, "--input"]).arg(&web), 0);
    let truth: Value = serde_json::from_str(&stdout(&truth)).unwrap();

    let lines = folder.path().join("captions.jsonl");
    let nucleus = ["--method", "nucleus", "--seed", "5", "--max-length", "30", "--truth", "--captions"];
    let found = shown(eval("caption", "captioner", &web).args(nucleus).arg(&lines));
    assert_eq!(found["images"], 120);
    let share = 100.0 * found["true"].as_f64().unwrap();
    assert!((share - truth["synthetic_true_raw"].as_f64().unwrap()).abs() <= 0.05, "{found} {truth}");

    let lines: Vec<Value> =
        fs::read_to_string(&lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut written: Vec<&str> = lines.iter().map(|line| line["caption"].as_str().unwrap()).collect();
    let ledger = Tables::of(&job).ledger;
    let mut of_job: Vec<&str> = ledger.iter().map(|row| captions(row)[0]["text"].as_str().unwrap()).collect();
    written.sort_unstable();
    of_job.sort_unstable();
    assert_eq!(written, of_job);
    let mean = lines.iter().map(|line| line["cider"].as_f64().unwrap()).sum::<f64>() / 120.0;
    assert!((mean - found["cider"].as_f64().unwrap()).abs() < 1e-9);

    // Searching with beams, the paper's way, says what is likeliest; chance has no part in it.
    let searched =
        || shown(eval("caption", "captioner", &web).args(["--images", "40", "--max-length", "30"]));
    let searched = (searched(), searched());
    assert_eq!(searched.0, searched.1);
    assert_eq!([&searched.0["images"], &searched.0["true"]], [&json!(40), &Value::Null]);
    assert_ne!(searched.0["cider"], found["cider"]);
}

#[test]
fn what_cannot_be_evaluated_is_said() {
    let web = repo().join("tests/data/web/web-00000.parquet");
    let refused = |command: &mut Command, code: i32| stderr(&expect(command, code));
    let error = refused(eval("retrieval", "filter", &web).args(["--text", "caption_of_it"]), 2);
    assert!(error.contains("caption_of_it"), "{error}");
    let error = refused(eval("retrieval", "filter", &web).args(["--images", "1"]), 2);
    assert!(error.contains("there are 1 images"), "{error}");
    let error = refused(&mut eval("retrieval", "captioner", &web), 3);
    assert!(error.contains("captioner"), "{error}");
    let error = refused(eval("caption", "captioner", &web).args(["--truth", "--where", "truth = 'none'"]), 2);
    assert!(error.contains("no row with an image and a text"), "{error}");
}

/// A copy of the tests' filter in a folder, which a test may change.
fn filter_in(folder: &Path) -> std::path::PathBuf {
    let (from, to) = (repo().join("tests/data/models/filter"), folder.join("filter"));
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

/// Log-odds of P(match) of a picture and a text.
fn log_odds(filter: &Path, picture: &Path) -> f64 {
    let mut score = capfilt();
    score.args(["score", "--json", "--device", "cpu", "--precision", "f32", "--model"]).arg(filter);
    let said = stdout(&expect(score.arg("--image").arg(picture).args(["--text", "a large red square"]), 0));
    let said: Value = serde_json::from_str(&said).unwrap();
    let itm = said["texts"][0]["match"].as_f64().unwrap();
    (itm / (1.0 - itm)).ln()
}

#[test]
fn a_stored_temperature_divides_the_logits_of_the_filter_and_is_a_part_of_the_job_s_model() {
    let folder = tempfile::tempdir().unwrap();
    let (filter, diagram) = (filter_in(folder.path()), folder.path().join("reliability.svg"));
    let picture = folder.path().join("picture.png");
    image::RgbImage::from_pixel(40, 40, image::Rgb([200, 30, 30])).save(&picture).unwrap();
    let before = log_odds(&filter, &picture);
    let web = repo().join("tests/data/web/web-00000.parquet");
    let calibration = |more: &[&str]| {
        let mut command = eval("calibration", filter.to_str().unwrap(), &web);
        command.args(["--where", "truth = 'true'", "--images", "120", "--negatives", "similar"]).args(more);
        command
    };
    let found = shown(calibration(&["--store"]).arg("-o").arg(&diagram));
    assert_eq!([&found["fitted_on"], &found["tested_on"]], [&json!(120), &json!(120)], "{found}");
    let pairs = |when: &str| -> u64 {
        found[when]["bins"].as_array().unwrap().iter().map(|bin| bin["pairs"].as_u64().unwrap()).sum()
    };
    assert_eq!([pairs("before"), pairs("after")], [120, 120], "every pair is in a bin");
    let svg = fs::read_to_string(&diagram).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("share of true pairs"), "{svg}");

    let stored: Value =
        serde_json::from_str(&fs::read_to_string(filter.join("calibration.json")).unwrap()).unwrap();
    assert_eq!(stored["temperature"], found["temperature"]);
    let temperature = found["temperature"].as_f64().unwrap();
    let after = log_odds(&filter, &picture);
    // P(match) has the digits of f32, which near 0 and 1 are few for the log-odds.
    assert!((after * temperature / before - 1.0).abs() < 1e-2, "{before} / {temperature} is not {after}");
    // The fit reads the logits without a temperature.
    assert_eq!(shown(&mut calibration(&[])), found);

    let job = Job::over(repo().join("tests/data/web").to_str().unwrap());
    let named = format!("models.filter={}", filter.display());
    let job = job.set(&[&named, "shards.rows=400"]);
    job.run();
    let record: Value =
        serde_json::from_str(&fs::read_to_string(job.objects.join("job.json")).unwrap()).unwrap();
    assert!(record["filter"].to_string().contains("calibration.json"), "{}", record["filter"]);

    let url = format!("file://{}", filter.display());
    let mut refused = eval("calibration", &url, &web);
    assert!(stderr(&expect(refused.arg("--store"), 2)).contains("--model must be a folder of this machine"));
}
