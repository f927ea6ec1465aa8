//! D' as other trainers get it, and as our own training reads it from a finished job.

use crate::support::{Job, capfilt, expect, python, small::first_rows, stderr, stdout};
use rand::RngExt as _;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

const FORMATS: [&str; 3] = ["parquet", "webdataset", "json"];

/// A finished job over 240 rows, and 300 pairs that people wrote.
struct Sources {
    job: Job,
    human: PathBuf,
}

fn sources() -> &'static Sources {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let web = folder.join("web");
        fs::create_dir(&web).unwrap();
        first_rows("web-00000.parquet", 240, 60, &web.join("web.parquet"));
        let job = Job::over(web.to_str().unwrap()).set(&["shards.rows=60"]);
        job.run();
        let human = folder.join("human");
        let made = ["--kind", "human", "--scenes", "150", "--captions-per-scene", "2", "--side", "48"];
        expect(capfilt().args(["demo", "--make-data"]).arg(&human).args(made), 0);
        Sources { job, human }
    });
    &SOURCES
}

fn export(format: &str, to: &Path) -> Command {
    let sources = sources();
    let mut command = capfilt();
    command
        .args(["export", "--job", &sources.job.url, "--format", format, "--file-mib", "1", "--json", "--to"])
        .arg(to);
    command.arg("--human").arg(&sources.human);
    command
}

fn record(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(&expect(command, 0))).unwrap()
}

/// All files below a folder with their bytes. A killed writer may leave a file it had not named yet: `name#1`.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            all.extend(files(&entry));
        } else if !entry.to_str().unwrap().contains('#') {
            all.insert(entry.clone(), fs::read(&entry).unwrap());
        }
    }
    all
}

#[test]
fn every_format_holds_each_pair_of_all_sources_once_as_other_programs_read_it() {
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let to = folder.path().join(format);
        let record = record(&mut export(format, &to));
        let counts = &record["counts"];
        let mut reader = python("tests/export.py");
        reader.arg(format).arg(&to).arg(&sources().human).arg(&sources().job.objects);
        let found: Value = serde_json::from_str(&stdout(&expect(&mut reader, 0))).unwrap();
        assert_eq!((&found["missing"], &found["strange"]), (&json!(0), &json!(0)), "{format}: {found}");
        assert_eq!(found["read"], counts["read"], "{format}: {record}");
        for source in ["human", "web", "synthetic"] {
            assert_eq!(found["by_source"][source], counts[source], "{format}");
            assert!(counts[source].as_u64().unwrap() > 0, "{format}: {record}");
        }
        let number = |name: &str| counts[name].as_u64().unwrap();
        let all = ["human", "web", "synthetic", "duplicates", "unusable"].map(number).iter().sum::<u64>();
        assert_eq!(all, number("read"), "{record}");
        // Paraphrases of one picture are sometimes the same.
        assert!(number("duplicates") > 0, "{record}");
    }
}

#[test]
fn the_same_pairs_from_two_sources_are_written_once_and_the_first_source_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let once = record(&mut export("parquet", &folder.path().join("once")));
    let twice = record(export("parquet", &folder.path().join("twice")).arg("--human").arg(&sources().human));
    for source in ["human", "web", "synthetic"] {
        assert_eq!(once["counts"][source], twice["counts"][source]);
    }
    assert_eq!(once["files"], twice["files"]);
    let read = |record: &Value| record["counts"]["read"].as_u64().unwrap();
    assert_eq!(read(&twice), read(&once) + 300);
}

#[test]
fn a_killed_export_is_begun_again_and_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("export-a"), folder.path().join("export-b"));
    let bytes = |folder: &Path| files(folder).into_values().collect::<Vec<_>>();
    record(&mut export("json", &whole));
    let mut kills = 0;
    for _ in 0..8 {
        let _ = fs::remove_file(killed.join("export.json"));
        let mut child = export("json", &killed).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(20..400)));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        // Its last act may have been done when it was killed.
        kills += u32::from(!killed.join("export.json").exists());
    }
    assert!(kills > 0, "every export was over before it could be killed");
    let _ = fs::remove_file(killed.join("export.json"));
    record(&mut export("json", &killed));
    assert!(bytes(&whole) == bytes(&killed), "the files differ after {kills} kills");
}

#[test]
fn a_finished_export_is_left_alone_and_another_is_not_written_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    record(&mut export("webdataset", &to));
    let before = files(&to);
    let again = expect(&mut export("webdataset", &to), 0);
    assert!(stderr(&again).contains("nothing to do"), "{}", stderr(&again));
    for command in [&mut export("parquet", &to), export("webdataset", &to).args(["--texts", "web"])] {
        let refused = expect(command, 2);
        assert!(stderr(&refused).contains("holds another export"), "{}", stderr(&refused));
    }
    assert!(files(&to) == before);
}

#[test]
fn a_job_that_is_not_finished_is_no_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let nowhere = expect(capfilt().args(["export", "--format", "json", "--job", "/nowhere/job", "--to"]).arg(&to), 2);
    assert!(stderr(&nowhere).contains("there is no job"), "{}", stderr(&nowhere));
    let job = folder.path().join("job");
    expect(Command::new("cp").arg("-r").arg(&sources().job.objects).arg(&job), 0);
    fs::remove_dir_all(job.join("manifests")).unwrap();
    let unfinished = expect(capfilt().args(["export", "--format", "json", "--job"]).arg(&job).arg("--to").arg(&to), 2);
    assert!(stderr(&unfinished).contains("has no manifest"), "{}", stderr(&unfinished));
    assert!(!to.exists());
}

/// Texts that a job kept, by source, and images with at least one.
fn kept() -> [u64; 3] {
    let manifest = fs::read(sources().job.objects.join("manifests/0.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    ["web_kept", "synthetic_kept", "pairs"].map(|name| manifest["tally"][name].as_u64().unwrap())
}

#[test]
fn training_takes_of_a_job_what_its_rule_says() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("train.toml");
    let [web, synthetic, images] = kept();
    assert!(web > 0 && synthetic > 0 && images < web + synthetic, "{web} {synthetic} {images}");
    let mut versions = Vec::new();
    for (rule, pairs) in
        [("both", web + synthetic), ("web", web), ("synthetic", synthetic), ("random", images), ("score", images)]
    {
        let run = folder.path().join(rule);
        let text = format!(
            "[run]\nfolder = {run:?}\ndevice = \"cpu\"\nbatch = 16\nmax_steps = 2\n[model]\nfrom = {:?}\nimage_size = 0\n\
             [[data]]\njob = {:?}\ntexts = \"{rule}\"\n",
            crate::support::repo().join("tests/data/models/captioner"),
            sources().job.url
        );
        fs::write(&settings, text).unwrap();
        let trained = expect(capfilt().args(["train", "captioner", "-c"]).arg(&settings), 0);
        let said = stderr(&trained);
        assert!(said.contains(&format!("{pairs} pairs an epoch")), "{rule}: {said}");
        let lineage = expect(capfilt().args(["lineage", "--json"]).arg(run.join("model")), 0);
        let lineage: Value = serde_json::from_str(&stdout(&lineage)).unwrap();
        assert_eq!(lineage["data"]["pairs"], pairs, "{lineage}");
        versions.push(lineage["data"]["version"].as_str().unwrap().to_owned());
    }
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 5, "another rule is another data set");
}
