//! Checkpoints as users find them, through the program: what is read of them is pinned, and what lies ends at
//! once.

use crate::support::{Job, capfilt, expect, python, repo, stderr, stdout};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn model(role: &str) -> PathBuf {
    repo().join("tests/data/models").join(role)
}

fn copy(role: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(model(role)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A copy of the captioner whose image processor, changed, is in the file of transformers 5.
fn with_processor(to: &Path, change: impl FnOnce(&mut Value)) {
    copy("captioner", to);
    let older = to.join("preprocessor_config.json");
    let mut processor = json_of(&older);
    change(&mut processor);
    fs::remove_file(older).unwrap();
    let whole = json!({"image_processor": processor, "processor_class": "BlipProcessor"});
    fs::write(to.join("processor_config.json"), whole.to_string()).unwrap();
}

#[test]
fn a_value_of_the_image_processor_that_is_not_implemented_ends_with_code_3_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (key, value)) in
        [("do_resize", json!(false)), ("size", json!({"height": 64, "width": 64}))].iter().enumerate()
    {
        let captioner = folder.path().join(i.to_string());
        with_processor(&captioner, |processor| processor[*key] = value.clone());
        let job = Job::over_one_file().set(&[&format!("models.captioner={}", captioner.display())]);
        let said = stderr(&expect(&mut job.command("check"), 3));
        assert!(said.contains("processor_config.json") && said.contains(key), "{said}");
    }
}

#[test]
fn a_job_pins_the_processor_s_file_like_every_file_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let captioner = folder.path().join("captioner");
    with_processor(&captioner, |processor| processor["image_mean"] = json!([0.5, 0.5, 0.5]));
    let one_shard = "input.where=key < '000000020'";
    let job = Job::over_one_file().set(&[&format!("models.captioner={}", captioner.display()), one_shard]);
    let found = stdout(&expect(&mut job.command("check"), 0));
    let named = found.lines().find(|line| line.starts_with("captioner ")).unwrap();
    assert!(named.contains("model.safetensors, processor_config.json, tokenizer.json"), "{named}");
    job.run();
    let record = json_of(&job.objects.join("job.json"));
    let files: Vec<&str> = record["captioner"]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert!(files.contains(&"processor_config.json"), "{files:?}");
    let path = captioner.join("processor_config.json");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("0.5", "0.25")).unwrap();
    let said = stderr(&expect(&mut job.command("run"), 3));
    assert!(said.contains("in processor_config.json"), "{said}");
}

#[test]
fn check_finds_the_id_that_would_end_no_caption() {
    let folder = tempfile::tempdir().unwrap();
    let captioner = folder.path().join("captioner");
    copy("captioner", &captioner);
    let path = captioner.join("config.json");
    let mut config = json_of(&path);
    config["text_config"]["sep_token_id"] = 5.into();
    fs::write(&path, config.to_string()).unwrap();
    let job = Job::over_one_file().set(&[&format!("models.captioner={}", captioner.display())]);
    let said = stderr(&expect(&mut job.command("check"), 3));
    assert!(said.contains("config.json: sep_token_id of text_config is 5, but [SEP] is"), "{said}");
}

#[test]
fn a_checkpoint_that_would_take_gigabytes_ends_within_seconds_and_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image.png");
    image::RgbImage::from_pixel(8, 8, image::Rgb([200, 30, 30])).save(&image).unwrap();
    for (kind, said) in [
        ("stride 0", "repeats"),
        ("deflated storage", "compressed"),
        ("deflated pickle", "compressed"),
        ("memo", "more values"),
        ("doubling", "more values"),
        ("normalizer", "times as long"),
        ("sizes", "of another shape"),
        ("a device for a config", "no regular file"),
    ] {
        let hostile = folder.path().join(kind);
        expect(python("tests/checkpoints.py").args([kind]).args([&model("filter"), &hostile]), 0);
        // Seconds of the processor, which others that are busy do not use up, and address space, of which
        // libtorch's own libraries take half a gigabyte.
        let mut limited = Command::new("prlimit");
        limited.env("MALLOC_ARENA_MAX", "2");
        limited.args(["--cpu=10", &format!("--as={}", 3_u64 << 30)]).arg(capfilt().get_program());
        limited.args(["score", "--device", "cpu", "--precision", "f32", "--text", "a red circle", "--model"]);
        let output = expect(limited.arg(&hostile).arg("--image").arg(&image), 3);
        let shown = stderr(&output);
        assert!(shown.contains(said) && stdout(&output).is_empty(), "{kind}: {shown}");
    }
}
