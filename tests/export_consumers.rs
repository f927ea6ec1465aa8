//! The promise that training programs yield every sample of an export: read by their own readers, which
//! `scripts/python.py readers` installs.

use crate::support::{
    capfilt, expect,
    exports::{count, export, record, samples, six_formats},
    repo, stderr,
    tables::json_of,
};
use crate::tars::Web;
use std::{collections::BTreeMap, path::Path, process::Command};

#[test]
fn open_clip_webdataset_datasets_energon_and_lavis_yield_every_sample_of_six_formats() {
    let folder = tempfile::tempdir().unwrap();
    let made = record(&mut export(six_formats(), "webdataset", folder.path()));
    assert_eq!(count(&made, "samples"), 210, "{made}");
    let read = read(folder.path(), &[]);
    assert_eq!(read.len(), 6, "{:?}", read.keys());
    assert_all(&read, &texts(folder.path()));
}

#[test]
fn imagefolder_text_files_llava_and_the_dataset_card_yield_every_sample_of_six_formats() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    record(export(six_formats(), "webdataset", &at("images")).args(["--per", "image"]));
    record(&mut export(six_formats(), "imagefolder", &at("imagefolder")));
    assert_all(&read(&at("imagefolder"), &["imagefolder", "sidecars"]), &texts(&at("images")));
    record(&mut export(six_formats(), "webdataset", &at("texts")));
    record(&mut export(six_formats(), "parquet", &at("parquet")));
    for format in ["texts", "parquet"] {
        assert_all(&read(&at(format), &["the dataset card"]), &texts(&at("texts")));
    }
    std::fs::write(at("prompts.txt"), "Say what you see.\n\nWhat is this?\n").unwrap();
    let mut llava = export(six_formats(), "llava", &at("llava"));
    record(llava.arg("--prompts").arg(at("prompts.txt")));
    assert_all(&read(&at("llava"), &["LLaVA"]), &texts(&at("texts")));
    let list = std::fs::read_to_string(at("llava/data/pairs-00000.json")).unwrap();
    assert!(
        list.contains("<image>\\nSay what you see.") && list.contains("<image>\\nWhat is this?"),
        "{list}"
    );
}

#[test]
fn energon_reads_every_sample_of_its_export_without_a_preparation() {
    let folder = tempfile::tempdir().unwrap();
    let (tars, energon) = (folder.path().join("tars"), folder.path().join("energon"));
    record(&mut export(six_formats(), "webdataset", &tars));
    record(&mut export(six_formats(), "energon", &energon));
    assert_all(&read(&energon, &["energon, prepared"]), &texts(&tars));
    let again = expect(&mut export(six_formats(), "energon", &energon), 0);
    assert!(stderr(&again).contains("nothing to do"), "{}", stderr(&again));
}

#[test]
fn mosaicml_streaming_yields_every_sample_of_six_formats_in_order_and_shuffled() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for per in ["text", "image"] {
        record(export(six_formats(), "webdataset", &at(&format!("tars-{per}"))).args(["--per", per]));
        record(export(six_formats(), "mds", &at(per)).args(["--per", per]));
        let readers = ["mosaicml-streaming", "mosaicml-streaming, shuffled"];
        assert_all(&read(&at(per), &readers), &texts(&at(&format!("tars-{per}"))));
    }
    let one = record(export(six_formats(), "mds", &at("one")).args(["--files", "1"]));
    assert_eq!(one["files"][0]["path"], "data/shard.00000.mds");
}

#[test]
fn captions_without_images_join_with_the_tars_of_the_input_by_key() {
    let web = Web::of(60, 20);
    let job = web.job().set(&["filter.web_threshold=0.0", "filter.synthetic_threshold=0.0"]);
    job.run();
    let folder = tempfile::tempdir().unwrap();
    let mut command = capfilt();
    command.args(["export", "--job", &job.url, "--format", "captions", "--per", "image", "--json", "--to"]);
    let made = record(command.arg(folder.path()));
    assert!(count(&made, "samples") > 50 && count(&made, "synthetic") > 0, "{made}");
    let mut join = Command::new(repo().join(".readers/bin/python"));
    join.arg(repo().join("tests/export_captions.py")).arg(folder.path()).arg(web.tars());
    let joined = json_of(&mut join);
    assert_eq!(joined["matched"].as_u64(), Some(count(&made, "samples")), "{joined}");
    let kept = ["human", "web", "synthetic"].map(|name| count(&made, name)).iter().sum::<u64>();
    assert_eq!((joined["captions"].as_u64(), &joined["images"]), (Some(kept), &joined["matched"]));
    let files = crate::support::exports::files(&folder.path().join("data"));
    assert!(files.keys().all(|path| path.extension().unwrap() == "parquet"), "{:?}", files.keys());
}

/// Texts that readers yield of an export, by reader, sorted; no names: all readers of tars.
fn read(export: &Path, readers: &[&str]) -> BTreeMap<String, Vec<String>> {
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut command = Command::new(python);
    command.arg(repo().join("tests/export_consumers.py")).arg(export.join("data")).args(readers);
    serde_json::from_value(json_of(&mut command)).unwrap()
}

/// Texts of a WebDataset export, sorted.
fn texts(export: &Path) -> Vec<String> {
    let texts = samples(export);
    let mut texts: Vec<String> =
        texts.iter().map(|sample| sample["text"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

fn assert_all(read: &BTreeMap<String, Vec<String>>, expected: &[String]) {
    for (reader, texts) in read {
        println!("{reader}: {} of {}", texts.len(), expected.len());
        assert!(*texts == expected, "{reader} yields {} of {} samples", texts.len(), expected.len());
    }
}
