//! Training data from a finished job, with images in its tables or by reference.

use crate::support::{
    Job, capfilt, expect,
    exports::{count, record, six_formats, six_formats_job, sources},
    stderr, stdout,
    tables::counted,
};
use serde_json::Value;
use std::{fs, path::Path, process::Output};

/// Texts that a job kept, by source, and images with at least one.
fn kept() -> [u64; 3] {
    let manifest = fs::read(sources().job.objects.join("manifests/0.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let tally = &manifest["tally"];
    let [caption, synthetic] = ["caption", "synthetic"].map(|source| counted(tally, source)[0]);
    [caption, synthetic, tally["pairs"].as_u64().unwrap()]
}

/// Trains a captioner on a job for two steps in a folder.
fn train(run: &Path, job: &str, rule: &str) -> Output {
    let settings = run.with_extension("toml");
    let text = format!(
        "[run]\nfolder = {run:?}\ndevice = \"cpu\"\nbatch = 16\nmax_steps = 2\nlog_every = 1\n[model]\n\
         from = {:?}\nimage_size = 0\n\
         [[data]]\njob = {job:?}\ntexts = \"{rule}\"\n",
        crate::support::repo().join("tests/data/models/captioner"),
    );
    fs::write(&settings, text).unwrap();
    expect(capfilt().args(["train", "captioner", "-c"]).arg(&settings), 0)
}

#[test]
fn training_takes_of_a_job_what_its_rule_says() {
    let folder = tempfile::tempdir().unwrap();
    let [web, synthetic, images] = kept();
    assert!(web > 0 && synthetic > 0 && images < web + synthetic, "{web} {synthetic} {images}");
    let mut versions = Vec::new();
    for (rule, pairs) in [
        ("both", web + synthetic),
        ("web", web),
        ("synthetic", synthetic),
        ("random", images),
        ("score", images),
    ] {
        let run = folder.path().join(rule);
        let said = stderr(&train(&run, &sources().job.url, rule));
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

/// Digests of the files of a job's export.
fn exported(job: &Job, to: &Path) -> (Value, Value) {
    let made = record(
        capfilt().args(["export", "--job", &job.url, "--format", "parquet", "--json", "--to"]).arg(to),
    );
    (made["files"].clone(), made["counts"].clone())
}

/// The web rows of the six formats with their images as files beside the Parquet file.
fn as_paths(folder: &Path) {
    let script = "
import pathlib, sys, pyarrow as pa, pyarrow.parquet as pq
web, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
(out / 'images').mkdir(parents=True)
rows = pq.ParquetFile(web / 'web.parquet').read(use_threads=False).to_pylist()
for i, row in enumerate(rows):
    (out / f'images/{i}').write_bytes(row['jpg'])
    row['jpg'] = f'images/{i}'
pq.write_table(pa.Table.from_pylist(rows), out / 'web.parquet', row_group_size=20)
";
    let python = crate::support::repo().join(".venv/bin/python");
    let web = six_formats().human.with_file_name("web");
    expect(std::process::Command::new(python).args(["-c", script]).arg(web).arg(folder), 0);
}

#[test]
fn images_by_reference_are_exported_and_trained_on_as_embedded_ones_are() {
    let folder = tempfile::tempdir().unwrap();
    as_paths(&folder.path().join("paths"));
    for (name, web) in
        [("rows", six_formats().human.with_file_name("web")), ("paths", folder.path().join("paths"))]
    {
        let job = six_formats_job(&web, &["output.images=reference"]);
        job.run();
        let embedded = exported(&six_formats().job, &folder.path().join(format!("{name}-embedded")));
        assert_eq!(exported(&job, &folder.path().join(format!("{name}-referenced"))), embedded, "{name}");
        let losses = |run: &str, job: &Job| {
            train(&folder.path().join(run), &job.url, "both");
            let metrics = fs::read_to_string(folder.path().join(run).join("metrics.jsonl")).unwrap();
            let loss = |line: &str| serde_json::from_str::<Value>(line).unwrap()["lm"].as_f64().unwrap();
            metrics.lines().map(loss).collect::<Vec<_>>()
        };
        let (referenced, embedded) =
            (losses(&format!("{name}-r"), &job), losses(&format!("{name}-e"), &six_formats().job));
        assert!(!referenced.is_empty(), "{name}");
        assert_eq!(referenced, embedded, "{name}: the same images in the same order");
    }
}

#[test]
fn an_image_that_was_replaced_since_it_was_judged_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("paths");
    as_paths(&web);
    let job = six_formats_job(&web, &["output.images=reference"]);
    job.run();
    fs::copy(web.join("images/1"), web.join("images/0")).unwrap();
    fs::remove_file(web.join("images/2")).unwrap();
    let mut command = capfilt();
    command.args(["export", "--job", &job.url, "--format", "webdataset", "--json", "--to"]);
    let made = record(command.arg(folder.path().join("export")));
    assert_eq!((count(&made, "unusable"), count(&made, "samples")), (4, 116), "{made}");
}
