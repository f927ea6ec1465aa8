//! Clips: a job over moving scenes is right, accounts for each clip once, and sees what no single frame has.

use crate::support::{
    Job, capfilt, expect, python, repo, stderr, stdout,
    tables::{Tables, input_text, json_of},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Clips of eight frames at the side of the demo's models.
fn made(folder: &Path, kind: &str, clips: &str) -> PathBuf {
    let data = folder.join(kind);
    let order = ["--kind", kind, "--scenes", clips, "--seed", "7", "--side", "56", "--clip-frames", "8"];
    expect(capfilt().args(["demo", "--make-data"]).arg(&data).args(order), 0);
    data
}

/// A job over clips with the demo's models.
fn job(input: &Path, more: &[&str]) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("job");
    let (url, models) = (objects.display().to_string(), repo().join("demo/models"));
    let job = Job::at(folder, url, objects, input.to_str().unwrap(), models.to_str().unwrap());
    let clips = ["input.image=frames", "input.frames=8", "output.images=reference"];
    job.set(&clips).set(&["input.passthrough=[\"frames\"]"]).set(more)
}

fn truth(job: &Job, data: &Path) -> Value {
    json_of(capfilt().args(["demo", "--json", "--truth", &job.url, "--input"]).arg(data))
}

#[test]
fn a_job_over_moving_scenes_keeps_true_texts_and_accounts_for_each_clip_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = made(folder.path(), "clip-objects", "400");
    let whole = job(&data, &["shards.rows=200"]);
    whole.run();
    let again = expect(whole.command_by_url("verify").args(["--recompute", "40", "--device", "cpu"]), 0);
    assert!(stdout(&again).contains("0 of 40 captions and 0 verdicts differ"), "{}", stdout(&again));
    let found = truth(&whole, &data);
    let count = |key: &str| found[key].as_u64().unwrap();
    assert_eq!((count("rows"), count("missing_keys"), count("doubled_keys")), (400, 0, 0));
    let share = |found: &Value, key: &str| found[key].as_f64().unwrap();
    assert!(share(&found, "web_kept_true") >= 95.0 && share(&found, "web_true_kept") >= 90.0, "{found:#}");
    assert!(share(&found, "synthetic_kept_true") >= 95.0, "{found:#}");

    // The pairs have the frames, and refer to the row of the clip.
    let tables = Tables::of(&whole);
    let rows: BTreeSet<u64> = tables.ledger.iter().map(|row| row["row"].as_u64().unwrap()).collect();
    assert_eq!((tables.ledger.len(), rows.len()), (400, 400));
    assert!(!tables.pairs.is_empty() && tables.quarantine.is_empty());
    for row in &tables.pairs {
        assert_eq!(row["frames"].as_array().unwrap().len(), 8, "{row}");
        assert_eq!(row["image"]["bytes"], Value::Null);
        assert!(row["image"]["path"].as_str().unwrap().contains("parquet#"), "{row}");
    }

    // A single frame shows the shapes of one half of a clip.
    let single = job(&data, &["input.frames=1"]);
    single.run();
    let single = truth(&single, &data);
    assert!(share(&single, "web_true_kept") < 75.0, "{single:#}");
}

#[test]
fn bad_frames_are_left_out_and_clips_of_bad_frames_are_quarantined() {
    let folder = tempfile::tempdir().unwrap();
    let data = made(folder.path(), "clip-objects", "6");
    let input = folder.path().join("damaged.parquet");
    let (from, to) = (data.join("clip-objects-00000.parquet"), input.to_str().unwrap());
    expect(python("tests/clips.py").arg("damaged").arg(&from).arg(to), 0);
    let job = job(&input, &["limits.failure_budget=1.0"]);
    // The job is done, and rows are quarantined.
    expect(&mut job.command("run"), 1);
    job.verify(0);
    let tables = Tables::of(&job);
    let statuses: Vec<&str> = tables.ledger.iter().map(|row| row["status"].as_str().unwrap()).collect();
    let (judged, without) = ("judged", "image_missing");
    assert_eq!(statuses, [judged, judged, "image_unsupported", without, without, judged]);
    assert_eq!(tables.ledger[0]["detail"], Value::Null);
    let note = tables.ledger[1]["detail"].as_str().unwrap();
    assert!(note.starts_with("2 of 8 frames are left out; frame 0: "), "{note}");
    assert_eq!(tables.ledger[5]["detail"], Value::Null, "a short clip gives all its frames");
    let digests: BTreeSet<String> = tables.ledger.iter().map(|row| row["image_sha256"].to_string()).collect();
    assert_eq!(digests.len(), 5, "each clip has a digest, and clips without frames have none");
    let (of_input, of_whole) = (input_text(&tables.ledger[0]), &tables.ledger[0]);
    assert!(of_input["itm"].is_number() && of_whole["width"] == json!(56));
    let quarantined: Vec<&Value> = tables.quarantine.iter().map(|row| &row["row"]).collect();
    assert_eq!(quarantined, [&json!(2)], "clips without frames have nothing to keep");
}

#[test]
fn settings_and_columns_that_do_not_fit_are_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let data = made(folder.path(), "clip-objects", "2");
    let refused = |job: Job, code: i32| stderr(&expect(&mut job.command("run"), code));
    let error = refused(job(&data, &["output.images=embed"]), 2);
    assert!(error.contains("output.images = \"reference\""), "{error}");
    let images = repo().join("tests/data/web/web-00000.parquet");
    let error = refused(job(&images, &["input.image=jpg", "input.passthrough=[]"]), 2);
    assert!(error.contains("a list of image bytes"), "{error}");
    let clips = Job::over(data.to_str().unwrap()).set(&["input.image=frames"]);
    let error = refused(clips, 2);
    assert!(error.contains("set input.frames"), "{error}");
    let done = job(&data, &[]);
    done.run();
    let to = folder.path().join("export").display().to_string();
    let export = ["export", "--job", &done.url, "--format", "webdataset", "--to", &to];
    let error = stderr(&expect(capfilt().args(export), 2));
    assert!(error.contains("a job of clips"), "{error}");
}

fn retrieval(data: &Path, more: &[&str]) -> Value {
    let mut command = capfilt();
    command.args(["eval", "video-retrieval", "--device", "cpu", "--precision", "f32", "--json", "--model"]);
    command.arg(repo().join("demo/models/filter")).arg("--input").arg(data);
    json_of(command.args(["--where", "truth = 'true'"]).args(more))
}

#[test]
fn several_frames_find_more_clips_and_texts_than_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |found: &Value, what: &str, k: &str| found[what][k].as_f64().unwrap();
    let data = made(folder.path(), "clip-scenes", "160");
    let [one, eight] = ["1", "8"].map(|frames| retrieval(&data, &["--frames", frames, "--top-k", "0"]));
    assert_eq!([&one["frames"], &eight["frames"], &eight["images"]], [&json!(1), &json!(8), &json!(64)]);
    // A text names both shapes, and the first frame has one of them.
    assert!(at(&eight, "image_by_cosine", "r1") > at(&one, "image_by_cosine", "r1") + 10.0, "{one} {eight}");
    for what in ["image_by_cosine", "text_by_cosine"] {
        assert!(at(&eight, what, "r10") > at(&one, what, "r10"), "{what}: {one} {eight}");
        assert!(eight[what]["median_rank"].as_f64() <= one[what]["median_rank"].as_f64());
    }
    let data = made(folder.path(), "clip-objects", "160");
    let matched = |frames| retrieval(&data, &["--matching", "max", "--frames", frames]);
    let (one, eight) = (matched("1"), matched("8"));
    for what in ["image_by_match", "text_by_match"] {
        assert!(at(&eight, what, "r1") > at(&one, what, "r1") + 10.0, "{what}: {one} {eight}");
    }
}

#[test]
fn a_clip_of_one_repeated_picture_is_answered_as_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("questions");
    let order = ["--kind", "questions", "--scenes", "12", "--side", "64", "--captions-per-scene", "2"];
    expect(capfilt().args(["demo", "--make-data"]).arg(&pictures).args(order), 0);
    let (from, clips) = (pictures.join("questions-00000.parquet"), folder.path().join("clips.parquet"));
    expect(python("tests/clips.py").arg("still").arg(&from).arg(&clips), 0);
    let answers = |what: &str, input: &Path| {
        let predictions = folder.path().join(what);
        let mut command = capfilt();
        command.args(["eval", what, "--device", "cpu", "--precision", "f32", "--json", "--predictions"]);
        command
            .arg(&predictions)
            .arg("--model")
            .arg(repo().join("pipeline/blip/tests/golden/answers/answerer"));
        let found = json_of(command.arg("--input").arg(input));
        (found, std::fs::read_to_string(predictions).unwrap())
    };
    let (picture, clip) = (answers("vqa", &from), answers("video-qa", &clips));
    assert_eq!(picture, clip);
    assert_eq!(clip.1.lines().count(), 24);
    let made = made(folder.path(), "clip-questions", "10");
    let found = answers("video-qa", &made);
    assert_eq!(found.1.lines().count(), 10, "{}", found.0);
    let help = stdout(&expect(capfilt().args(["eval", "video-qa", "--help"]), 0));
    assert!(help.contains("[default: frames]") && help.contains("[default: 16]"), "{help}");
}
