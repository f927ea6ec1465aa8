//! Effects of the options of an export, and refused options.

use crate::support::{
    Job, capfilt, expect,
    exports::{count, export, files, record, samples, six_formats, sources},
    python, stderr, stdout,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

fn texts(to: &Path) -> Vec<String> {
    samples(to).iter().map(|sample| sample["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_order_follows_from_the_seed_and_texts_of_an_image_are_no_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, options: &[&str]| {
        let to = folder.path().join(name);
        record(export(six_formats(), "webdataset", &to).args(options));
        samples(&to)
    };
    let (first, again) = (read("a", &[]), read("b", &["--shuffle", "0"]));
    let (other, off) = (read("c", &["--shuffle", "1"]), read("d", &["--shuffle", "off"]));
    let texts = |samples: &[Value]| samples.iter().map(|sample| sample["text"].clone()).collect::<Vec<_>>();
    assert_eq!(first, again, "the seed is 0 by default");
    assert_ne!(texts(&first), texts(&other));
    let set = |samples: &[Value]| texts(samples).iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!((set(&first), set(&first)), (set(&other), set(&off)), "every order has the same samples");
    let neighbours =
        |samples: &[Value]| samples.windows(2).filter(|pair| pair[0]["image"] == pair[1]["image"]).count();
    assert_eq!((neighbours(&first), neighbours(&other), neighbours(&off)), (0, 0, 105));
    assert_eq!(off[0]["text"], "Picture 0, said first: it's a Square!", "the sources' order");
    // Human and job are mixed: were a half of one source, the other half would be of the other.
    let human = first[..105].iter().filter(|sample| sample["record"]["source"] == "human").count();
    assert!((30..=60).contains(&human), "{human} of 90 human texts in the first half");
}

#[test]
fn an_image_is_one_sample_with_all_of_its_texts_and_the_best_as_its_caption() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let made = record(export(six_formats(), "webdataset", &to).args(["--per", "image"]));
    assert_eq!((count(&made, "samples"), count(&made, "read")), (105, 210));
    let samples = samples(&to);
    let images: BTreeSet<&str> = samples.iter().map(|sample| sample["image"].as_str().unwrap()).collect();
    assert_eq!((samples.len(), images.len()), (105, 105));
    for sample in &samples {
        let captions = sample["record"]["captions"].as_array().unwrap();
        assert_eq!((captions.len(), &captions[0]["text"]), (2, &sample["text"]), "{sample}");
        assert!(captions[0]["itm"].as_f64() >= captions[1]["itm"].as_f64(), "{sample}");
    }
    let texts: BTreeSet<&str> = samples
        .iter()
        .flat_map(|s| s["record"]["captions"].as_array().unwrap())
        .map(|c| c["text"].as_str().unwrap())
        .collect();
    assert!(
        texts.contains("Picture 3, said second: it's a Square!") && texts.contains("A red square, number 3.")
    );
    for format in ["parquet", "json"] {
        let made =
            record(export(six_formats(), format, &folder.path().join(format)).args(["--per", "image"]));
        assert_eq!((count(&made, "samples"), count(&made, "human")), (105, 90), "{format}");
    }
}

#[test]
fn texts_of_a_job_below_the_wanted_match_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let all = record(&mut export(six_formats(), "webdataset", &folder.path().join("all")));
    let scores: Vec<f64> = samples(&folder.path().join("all"))
        .iter()
        .map(|sample| sample["record"]["itm"].as_f64().unwrap())
        .collect();
    let mut judged: Vec<f64> = scores.into_iter().filter(|itm| *itm >= 0.0).collect();
    judged.sort_by(f64::total_cmp);
    let least = judged[judged.len() / 2];
    let above = judged.iter().filter(|itm| **itm >= least).count() as u64;
    let to = folder.path().join("some");
    let some =
        record(export(six_formats(), "webdataset", &to).args(["--min-itm", &format!("{}", least as f32)]));
    assert_eq!(count(&some, "web") + count(&some, "synthetic"), above, "{some}");
    assert_eq!(count(&some, "below_min_itm"), judged.len() as u64 - above);
    assert_eq!((count(&some, "human"), count(&some, "read")), (count(&all, "human"), count(&all, "read")));
}

#[test]
fn every_file_has_samples_and_open_clip_is_told_how_many() {
    let folder = tempfile::tempdir().unwrap();
    for (options, wanted) in [(&["--files", "5"][..], 5), (&[], 16), (&["--files", "1000"], 210)] {
        let to = folder.path().join(wanted.to_string());
        let made = record(export(six_formats(), "webdataset", &to).args(options));
        let of =
            |file: &Value| (file["path"].as_str().unwrap()[5..].to_owned(), file["pairs"].as_u64().unwrap());
        let files: BTreeMap<String, u64> = made["files"].as_array().unwrap().iter().map(of).collect();
        assert_eq!((files.len(), files.values().sum::<u64>()), (wanted, 210));
        assert!(files.values().max().unwrap() - files.values().min().unwrap() <= 1, "{files:?}");
        let sizes: BTreeMap<String, u64> =
            serde_json::from_slice(&fs::read(to.join("data/sizes.json")).unwrap()).unwrap();
        assert_eq!(sizes, files);
    }
    let mut command = capfilt();
    command.args([
        "export",
        "--job",
        &six_formats().job.url,
        "--format",
        "webdataset",
        "--files",
        "3",
        "--to",
    ]);
    let said = stdout(&expect(command.arg(folder.path().join("said")), 0));
    let data = folder.path().join("said/data");
    let train =
        format!("--train-data '{}/pairs-{{00000..00002}}.tar' --train-num-samples 120", data.display());
    assert!(said.contains(&train), "{said}");
    assert_eq!(said.lines().last().unwrap(), folder.path().join("said/export.json").display().to_string());
}

#[test]
fn broken_human_images_are_left_out_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    expect(python("tests/export.py").arg("broken").arg(folder.path()), 0);
    let export = |format: &str| {
        let mut command = capfilt();
        command.args(["export", "--format", format, "--human"]).arg(folder.path().join("broken.parquet"));
        command.arg("--to").arg(folder.path().join(format));
        command
    };
    for format in ["webdataset", "parquet", "json"] {
        let made = record(export(format).arg("--json"));
        assert_eq!(
            (count(&made, "samples"), count(&made, "bad_images"), count(&made, "unusable")),
            (6, 7, 4),
            "{made}"
        );
        let rows: Vec<u64> =
            made["left_out"].as_array().unwrap().iter().map(|row| row["row"].as_u64().unwrap()).collect();
        assert_eq!(rows, [6, 7, 8, 9, 10, 11, 12], "{made}");
        let said = stdout(&expect(&mut export(format), 0));
        assert!(said.contains("7 pairs have an image that cannot be decoded"), "{said}");
        assert!(said.contains("broken.parquet, row 6:"), "{said}");
    }
    let mut whole = texts(&folder.path().join("webdataset"));
    whole.sort();
    assert_eq!(whole, [0, 1, 2, 3, 4, 5].map(|i| format!("whole {i}")));
}

#[test]
fn a_finished_export_is_left_alone_and_every_option_that_changes_the_result_makes_another() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let human = |options: &[&str]| {
        let mut command = export(six_formats(), "webdataset", &to);
        command.args(options);
        command
    };
    record(&mut human(&[]));
    let before = files(&to);
    let again = expect(&mut human(&[]), 0);
    assert!(stderr(&again).contains("nothing to do"), "{}", stderr(&again));
    let refused = [
        &["--texts", "web"][..],
        &["--per", "image"],
        &["--shuffle", "1"],
        &["--shuffle", "off"],
        &["--files", "2"],
        &["--file-mib", "1"],
        &["--min-itm", "0.5"],
        &["--clean-text"],
        &["--text", "note"],
        &["--key", "note"],
        &["--where", "note = 'n1'"],
        &["--passthrough", "note"],
    ];
    for options in refused {
        let said = stderr(&expect(&mut human(options), 2));
        assert!(said.contains("holds another export"), "{options:?}: {said}");
    }
    let said = stderr(&expect(&mut export(six_formats(), "parquet", &to), 2));
    assert!(said.contains("another format"), "{said}");
    assert!(files(&to) == before);
    // A record that is gone leaves files of no export, and they are not mixed with new ones.
    fs::remove_file(to.join("export.json")).unwrap();
    let said = stderr(&expect(&mut human(&["--files", "2"]), 2));
    assert!(said.contains("not of this export") && said.contains("data/pairs-000"), "{said}");
    fs::remove_dir_all(&to).unwrap();
    record(&mut human(&["--files", "2"]));
    // A finished export that has lost a file counts as unfinished.
    fs::remove_file(to.join("data/pairs-00001.tar")).unwrap();
    let said = stderr(&expect(&mut human(&["--files", "2"]), 2));
    assert!(said.contains("data/pairs-00001.tar is gone"), "{said}");
}

#[test]
fn options_of_sources_that_are_not_there_and_columns_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let job = |options: &[&str]| {
        let mut command = capfilt();
        command
            .args(["export", "--format", "json", "--job", &sources().job.url, "--to"])
            .arg(&to)
            .args(options);
        stderr(&expect(&mut command, 2))
    };
    for options in [
        ["--where", "width > 3"],
        ["--key", "key"],
        ["--text", "caption"],
        ["--image", "jpg"],
        ["--passthrough", "url"],
    ] {
        assert!(job(&options).contains("--human"), "{options:?}: {}", job(&options));
    }
    let human = |options: &[&str]| {
        let mut command = capfilt();
        command
            .args(["export", "--format", "json", "--human"])
            .arg(&six_formats().human)
            .arg("--to")
            .arg(&to);
        stderr(&expect(command.args(options), 2))
    };
    for option in ["--key", "--passthrough"] {
        let said = human(&[option, "nokey"]);
        assert!(
            said.contains("`nokey`") && said.contains(option) && said.contains("caption, jpg, key"),
            "{said}"
        );
    }
    for options in [["--texts", "web"], ["--min-itm", "0.5"]] {
        assert!(human(&options).contains("--job"), "{options:?}");
    }
    assert!(!to.exists());
}

#[test]
fn an_export_of_nothing_is_said_and_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let mut command = capfilt();
    command.args(["export", "--format", "parquet", "--human"]).arg(&six_formats().human).arg("--to").arg(&to);
    let ended = expect(command.args(["--where", "note = 'no such note'"]), 1);
    assert!(stderr(&ended).contains("0 pairs"), "{}", stderr(&ended));
    assert!(files(&to).is_empty(), "nothing is left that looks like an export");
}

/// A job of three shards, of which one cannot be read.
fn job_with_quarantine() -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    let file = web.join("a.parquet");
    crate::support::small::first_rows("web-00000.parquet", 300, 100, &file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100..2000].fill(0xAB);
    fs::write(&file, bytes).unwrap();
    let job = job.set(&[&format!("input.url={}", web.display()), "shards.rows=100", "limits.attempts=2"]);
    expect(&mut job.command("run"), 1);
    job
}

#[test]
fn shards_in_quarantine_are_mentioned_in_record_and_output() {
    let job = job_with_quarantine();
    let to = job.folder.path().join("export");
    let export = || {
        let mut command = capfilt();
        command.args(["export", "--format", "json", "--job", &job.url, "--to"]).arg(&to);
        command
    };
    let said = stdout(&expect(&mut export(), 0));
    assert!(said.contains("1 shards with 100 rows are quarantined and not in the export"), "{said}");
    let made = record(export().arg("--json"));
    assert_eq!(made["sources"][0]["quarantined"][0]["rows"], json!(100), "{made}");
}
