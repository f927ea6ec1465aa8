//! D' as other trainers get it, and as our own training reads it from a finished job.

use crate::support::{
    capfilt, expect,
    exports::{count, export, files, record, samples, six_formats, sources},
    python, stderr, stdout,
    tables::json_of,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, process::Command};

const FORMATS: [&str; 3] = ["parquet", "webdataset", "json"];

#[test]
fn every_format_holds_each_pair_of_all_sources_once_as_other_programs_read_it() {
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        for order in ["7", "off"] {
            let to = folder.path().join(format!("{format}-{order}"));
            let record = record(export(sources(), format, &to).args(["--file-mib", "1", "--shuffle", order]));
            let mut reader = python("tests/export.py");
            reader.args(["compare", format]).arg(&to).arg(&sources().human).arg(&sources().job.objects);
            let found = json_of(&mut reader);
            assert_eq!(
                (&found["missing"], &found["strange"]),
                (&json!(0), &json!(0)),
                "{format} {order}: {found}"
            );
            assert_eq!(found["read"], record["counts"]["read"], "{format}: {record}");
            for (source, counted) in [("human", "human"), ("caption", "web"), ("synthetic", "synthetic")] {
                assert_eq!(found["by_source"][source], record["counts"][counted], "{format}");
                assert!(count(&record, counted) > 0, "{format}: {record}");
            }
            let all = ["human", "web", "synthetic", "duplicates", "unusable", "bad_images", "below_min_itm"];
            assert_eq!(
                all.map(|name| count(&record, name)).iter().sum::<u64>(),
                count(&record, "read"),
                "{record}"
            );
            // Paraphrases of one picture are sometimes the same.
            assert!(count(&record, "duplicates") > 0, "{record}");
        }
    }
}

#[test]
fn the_same_pairs_from_two_sources_are_written_once_and_the_first_source_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    expect(Command::new("cp").arg("-r").arg(&sources().human).arg(&copy), 0);
    let once = record(&mut export(sources(), "parquet", &folder.path().join("once")));
    let twice = record(export(sources(), "parquet", &folder.path().join("twice")).arg("--human").arg(&copy));
    for source in ["human", "web", "synthetic"] {
        assert_eq!(once["counts"][source], twice["counts"][source]);
    }
    assert_eq!(once["files"], twice["files"]);
    assert_eq!(count(&twice, "read"), count(&once, "read") + 300);
}

#[test]
fn a_job_its_path_with_a_slash_and_its_absolute_path_are_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let (to, job) = (folder.path().join("export"), &sources().job.objects);
    let beside = job.parent().unwrap();
    let export = |jobs: &[String]| {
        let mut command = capfilt();
        command.current_dir(beside).args(["export", "--format", "json", "--json", "--to"]).arg(&to);
        jobs.iter().for_each(|job| {
            command.args(["--job", job]);
        });
        expect(&mut command, 0)
    };
    let absolute = job.display().to_string();
    let all: Value =
        serde_json::from_str(&stdout(&export(&["job".into(), "job/".into(), absolute.clone()]))).unwrap();
    assert_eq!(all["sources"].as_array().unwrap().len(), 1, "{all}");
    for name in ["job", "job/", "./job", &absolute, &format!("file://{absolute}")] {
        let said = stderr(&export(&[name.to_owned()]));
        assert!(said.contains("nothing to do"), "{name}: {said}");
    }
}

#[test]
fn texts_are_written_as_they_came_and_cleaned_only_when_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |name: &str, options: &[&str]| -> BTreeSet<String> {
        let to = folder.path().join(name);
        let made = record(export(six_formats(), "webdataset", &to).args(options));
        assert_eq!(made["options"]["clean_text"], json!(!options.is_empty()));
        samples(&to).iter().map(|sample| sample["text"].as_str().unwrap().to_owned()).collect()
    };
    let (as_is, cleaned) = (texts("as-is", &[]), texts("cleaned", &["--clean-text"]));
    assert!(
        as_is.contains("Picture 3, said first: it's a Square!") && as_is.contains("A red square, number 3.")
    );
    assert!(
        cleaned.contains("picture 3, said first it's a square") && cleaned.contains("a red square, number 3")
    );
    assert!(cleaned.iter().all(|text| text.to_lowercase() == *text));
}

#[test]
fn every_sidecar_has_the_same_fields_of_the_same_types_and_no_nulls() {
    let folder = tempfile::tempdir().unwrap();
    record(export(six_formats(), "webdataset", folder.path()).args(["--passthrough", "note"]));
    let samples = samples(folder.path());
    let first = &samples[0]["kinds"];
    for name in
        "key url caption captions source itm cosine width height licence likes share seen note".split(' ')
    {
        assert!(first.get(name).is_some(), "{name}: {first}");
    }
    for sample in &samples {
        assert_eq!(&sample["kinds"], first, "{sample}");
        let record = &sample["record"];
        let (captions, is_human) = (record["captions"].as_array().unwrap(), record["source"] == "human");
        let own = captions.iter().find(|caption| caption["text"] == record["caption"]).unwrap();
        assert_eq!((&own["itm"], &own["cosine"]), (&record["itm"], &record["cosine"]));
        assert_eq!(record["itm"] == -1.0, is_human, "{record}");
        assert_eq!(record["cosine"] == -2.0, is_human, "{record}");
        assert_eq!(record["url"] == "", is_human, "{record}");
        assert!(captions.len() == if is_human { 1 } else { 2 }, "{record}");
    }
}

#[test]
fn the_data_folder_is_read_whole_by_pyarrow_polars_and_datasets() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let made = record(export(six_formats(), "parquet", &to).args(["--passthrough", "note"]));
    let found = json_of(python("tests/export.py").arg("folder").arg(&to));
    for reader in ["pyarrow", "polars", "datasets", "images"] {
        assert_eq!(found[reader].as_u64(), Some(count(&made, "samples")), "{reader}: {found}");
    }
    for column in ["url", "licence", "likes", "share", "note", "cosine", "captions"] {
        assert!(found["columns"].as_array().unwrap().contains(&json!(column)), "{column}: {found}");
    }
}

#[test]
fn blip_s_lists_are_read_from_any_folder_with_an_image_root() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let made = record(export(six_formats(), "json", folder.path()).arg("--image-root").arg(&root));
    let found = json_of(python("tests/export.py").arg("lists").arg(folder.path()));
    assert_eq!(found, json!({"entries": count(&made, "samples"), "opened": count(&made, "samples")}));
    let images = files(&root.join("images")).len() as u64;
    assert_eq!((count(&made, "images"), images), (105, 105));
    let refused =
        expect(export(six_formats(), "parquet", &folder.path().join("x")).args(["--image-root", "/x"]), 2);
    assert!(stderr(&refused).contains("--format json"), "{}", stderr(&refused));
}

#[test]
fn a_job_that_is_not_finished_is_no_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let nowhere =
        expect(capfilt().args(["export", "--format", "json", "--job", "/nowhere/job", "--to"]).arg(&to), 2);
    assert!(stderr(&nowhere).contains("there is no job"), "{}", stderr(&nowhere));
    let job = folder.path().join("job");
    expect(Command::new("cp").arg("-r").arg(&sources().job.objects).arg(&job), 0);
    fs::remove_dir_all(job.join("manifests")).unwrap();
    let unfinished =
        expect(capfilt().args(["export", "--format", "json", "--job"]).arg(&job).arg("--to").arg(&to), 2);
    assert!(stderr(&unfinished).contains("has no manifest"), "{}", stderr(&unfinished));
    assert!(!to.exists());
}
