//! The promise of `capfilt recut`: a cut is what a job with its rules would have kept, without its models.

use crate::support::{
    Job, capfilt, expect,
    exports::{files, samples},
    repo,
    small::first_rows,
    stderr, stdout,
    tables::{Tables, json_of},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// A recut of a job, with its options.
fn recut(job: &Job, options: &[&str]) -> Command {
    let mut command = job.command_by_url("recut");
    command.args(options);
    command
}

/// A job with two captions per image over 240 rows in four shards, which keeps pass-through columns.
fn job(settings: &[&str]) -> Job {
    static INPUT: LazyLock<PathBuf> = LazyLock::new(|| {
        let input = tempfile::tempdir().unwrap().keep().join("web.parquet");
        first_rows("web-00000.parquet", 240, 60, &input);
        input
    });
    let common = ["input.passthrough=[\"url\"]", "captioner.captions=2", "shards.rows=60"];
    let job = Job::over(INPUT.to_str().unwrap()).set(&common).set(settings);
    job.run();
    job
}

/// One such job for the tests that only read it, or add cuts with different names.
fn shared() -> &'static Job {
    static JOB: LazyLock<Job> = LazyLock::new(|| job(&[]));
    &JOB
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Bytes of a job's pairs, by shard.
fn pairs_of_job(job: &Job) -> BTreeMap<String, Vec<u8>> {
    let shards = fs::read_dir(job.objects.join("commits")).unwrap().map(|shard| shard.unwrap().path());
    let pairs = shards.filter_map(|shard| {
        let commit = json(&shard.join("0.json"));
        let outputs = commit["outputs"].as_array().unwrap().clone();
        let pairs = outputs.into_iter().find(|output| output["table"] == "pairs")?;
        Some((commit["shard"].as_str().unwrap().to_owned(), object(job, &pairs)))
    });
    pairs.collect()
}

/// Bytes of a cut's pairs, by shard.
fn pairs_of_cut(job: &Job, name: &str) -> BTreeMap<String, Vec<u8>> {
    let record = json(&job.objects.join(format!("cuts/{name}.json")));
    let shards = record["shards"].as_array().unwrap().clone();
    let written = shards.into_iter().filter(|shard| !shard["pairs"].is_null());
    written.map(|one| (one["shard"].as_str().unwrap().to_owned(), object(job, &one["pairs"]))).collect()
}

fn object(job: &Job, output: &Value) -> Vec<u8> {
    fs::read(job.objects.join(output["path"].as_str().unwrap())).unwrap()
}

#[test]
fn a_cut_with_images_equals_a_job_with_its_rules_byte_for_byte_in_both_formats() {
    for format in ["parquet", "webdataset"] {
        let format = format!("output.format=\"{format}\"");
        let original = job(&[&format]);
        let other =
            job(&[&format, "filter.web_threshold=0.9", "filter.synthetic_threshold=0.2", "captioner.keep=1"]);
        let rules = ["--threshold", "0.9", "--threshold", "synthetic=0.2", "--keep", "synthetic=1"];
        let made = json_of(recut(&original, &rules).args(["--name", "same", "--materialise", "--json"]));
        let pairs = pairs_of_cut(&original, "same");
        assert_eq!(pairs, pairs_of_job(&other), "{format}");
        assert!(pairs.len() == 4 && pairs != pairs_of_job(&original), "the rules change the pairs");
        let manifest = json(&other.objects.join("manifests/0.json"));
        assert_eq!(made["pairs"], manifest["tally"]["pairs"]);
        assert_eq!(made["cut"]["pairs"], made["pairs"]);
        assert_eq!(json(&original.objects.join("cuts/same.json"))["tally"], manifest["tally"]);
    }
}

#[test]
fn a_cut_that_points_at_its_images_is_exported_like_one_that_has_them() {
    let job = shared();
    let rules = ["--threshold", "0.2", "--where", "words >= 3"];
    expect(recut(job, &rules).args(["--name", "points"]), 0);
    expect(recut(job, &rules).args(["--name", "holds", "--materialise"]), 0);
    let folder = tempfile::tempdir().unwrap();
    let export = |cut: &str, format: &str| {
        let to = folder.path().join(cut).join(format);
        let mut command = job.command_by_url("export");
        command.args(["--cut", cut, "--format", format, "--json", "--to"]).arg(&to);
        let record = json_of(&mut command);
        assert_eq!(record["sources"][0]["cut"]["name"], cut);
        (to, record["counts"].clone())
    };
    let ((points, counted), (holds, held)) = (export("points", "webdataset"), export("holds", "webdataset"));
    assert_eq!(counted, held);
    let exported = samples(&points);
    assert_eq!(exported, samples(&holds));
    assert!(exported.len() > 50, "{}", exported.len());
    let ((points, _), (holds, _)) = (export("points", "parquet"), export("holds", "parquet"));
    let bytes = |folder: &Path| files(&folder.join("data")).into_values().collect::<Vec<_>>();
    assert_eq!(bytes(&points), bytes(&holds), "with images and pass-through columns");
}

/// Texts of a ledger's judged rows: source, words, P(match).
fn judged(job: &Job) -> Vec<(String, usize, f64)> {
    let rows = Tables::of(job).ledger;
    let texts = rows.iter().flat_map(|row| row["texts"].as_array().unwrap().iter());
    let scored = texts.filter(|text| !text["itm"].is_null()).map(|text| {
        let words = text["text"].as_str().unwrap().split_whitespace().count();
        (text["source"].as_str().unwrap().to_owned(), words, text["itm"].as_f64().unwrap())
    });
    scored.collect()
}

#[test]
fn a_threshold_from_a_share_of_the_texts_or_of_the_controls_equals_a_count_by_hand() {
    let job = shared();
    let texts = judged(job);
    let counted = |options: &[&str]| json_of(recut(job, options).arg("--json"));
    let top = counted(&["--top", "30%", "--top", "synthetic=0.1"]);
    for (source, share) in [("caption", 0.3), ("synthetic", 0.1)] {
        let mut itm: Vec<f64> = texts.iter().filter(|text| text.0 == source).map(|text| text.2).collect();
        itm.sort_by(|a, b| b.total_cmp(a));
        let least = itm[(itm.len() as f64 * share) as usize - 1];
        let kept = itm.iter().filter(|one| **one >= least).count();
        assert_eq!(top["sources"][source]["threshold"].as_f64(), Some(least), "{top}");
        assert_eq!(top["sources"][source]["kept"], kept);
        assert_eq!(top["sources"][source]["judged"], itm.len());
    }
    let controls: Vec<f64> =
        Tables::of(job).ledger.iter().filter_map(|row| row["control_itm"].as_f64()).collect();
    for share in [0.01, 0.05, 0.2] {
        let option = format!("{share}");
        let cut = counted(&["--max-random-pass", &option]);
        let source = &cut["sources"]["caption"];
        let least = source["threshold"].as_f64().unwrap();
        let passes = controls.iter().filter(|control| **control >= least).count();
        let allowed = (controls.len() as f64 * share + 1e-6) as usize;
        assert!(passes <= allowed, "{passes} of {allowed} at {least}");
        let lower = controls.iter().filter(|control| **control < least).fold(0.0, |a: f64, b| a.max(*b));
        let more = controls.iter().filter(|control| **control >= lower).count();
        assert!(more > allowed, "a lower threshold would pass {more} of {allowed}");
        assert_eq!(source["random_passes"], passes);
        assert_eq!(cut["controls"], controls.len());
    }
}

#[test]
fn without_rules_the_cut_is_the_job_and_a_condition_only_removes() {
    let job = shared();
    let manifest = json(&job.objects.join("manifests/0.json"));
    let same = json_of(recut(job, &[]).arg("--json"));
    assert_eq!((&same["pairs"], &same["rows"]), (&manifest["tally"]["pairs"], &manifest["rows"]));
    let short = json_of(recut(job, &["--where", "words < 4 and source = 'caption'"]).arg("--json"));
    let expected = judged(job)
        .iter()
        .filter(|(source, words, itm)| source == "caption" && *words < 4 && *itm >= 0.5)
        .count();
    assert_eq!(short["sources"]["caption"]["kept"], expected);
    assert_eq!(short["sources"]["synthetic"]["kept"], 0);
    let people = stdout(&expect(&mut recut(job, &["--where", "words < 4"]), 0));
    assert!(people.contains("where words < 4") && people.contains("nothing is written"), "{people}");
}

#[test]
fn a_cut_is_never_changed_and_what_it_cannot_do_is_said() {
    let job = job(&[]);
    let named = |options: &[&str], code| stderr(&expect(recut(&job, options).args(["--name", "a"]), code));
    named(&["--threshold", "0.6"], 0);
    let before = files(&job.objects.join("cuts"));
    named(&["--threshold", "0.6"], 0);
    assert_eq!(files(&job.objects.join("cuts")), before, "a repeated call writes nothing");
    assert!(named(&["--threshold", "0.7"], 2).contains("exists with other rules"));
    assert!(named(&["--threshold", "0.6", "--materialise"], 2).contains("another form"));
    assert!(named(&["--threshold", "title=0.6"], 2).contains("its sources are caption, synthetic"));
    assert!(named(&["--threshold", "1.5"], 2).contains("from 0 to 1"));
    assert!(named(&["--threshold", "0.6", "--top", "30%"], 2).contains("--threshold SOURCE=P"));
    assert!(named(&["--where", "wrds > 1"], 2).contains("names `wrds`"));
    assert!(named(&["--where", "words >"], 2).contains("--where: expected"));
    let missing = expect(job.command_by_url("files").args(["--table", "pairs", "--cut", "b"]), 2);
    assert!(stderr(&missing).contains("has no cut b; it has a"), "{}", stderr(&missing));
    let running = Job::over_one_file();
    let unfinished = expect(&mut recut(&running, &[]), 2);
    assert!(stderr(&unfinished).contains("job.json"), "{}", stderr(&unfinished));
}

#[test]
fn tables_that_no_record_of_a_cut_names_are_garbage() {
    let job = job(&[]);
    expect(recut(&job, &["--threshold", "0.6"]).args(["--name", "a"]), 0);
    let attempt = fs::read_dir(job.objects.join("cuts/a")).unwrap().next().unwrap().unwrap().path();
    let lost = job.objects.join("cuts/a").join("0".repeat(32));
    expect(Command::new("cp").arg("-r").arg(&attempt).arg(&lost), 0);
    let found = json_of(job.command_by_url("gc").args(["--json", "--delete"]));
    assert_eq!(found["objects"].as_array().unwrap().len(), fs::read_dir(&attempt).unwrap().count());
    assert!(attempt.exists() && fs::read_dir(&lost).is_ok_and(|left| left.count() == 0) || !lost.exists());
    assert_eq!(job.verify(0)["problems"], serde_json::json!([]));
    let table = fs::read_dir(&attempt).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&table).unwrap();
    fs::write(&table, &whole[1..]).unwrap();
    let problems = job.verify(1)["problems"].to_string();
    assert!(problems.contains("the record of the cut recorded"), "{problems}");
    fs::write(&table, whole).unwrap();
    let listed = json_of(job.command_by_url("files").args(["--table", "pairs", "--cut", "a", "--json"]));
    assert_eq!(listed["rows"], json_of(recut(&job, &["--threshold", "0.6"]).arg("--json"))["pairs"]);
}

/// Loads a cut by the Python package: samples of a loader, rows of a dataset, the loader's error on pointers.
const LOAD: &str = "import json, sys, capfilt\n\
    job, holds, points = sys.argv[1:]\n\
    dataset = capfilt.CapFiltDataset(job, cut=holds, batch_size=8, drop_last=False, text='all')\n\
    samples = [sample for batch in dataset.loader(0) for sample in batch]\n\
    try:\n    \
        next(iter(capfilt.CapFiltDataset(job, cut=points, batch_size=8).loader(0)))\n\
    except ValueError as error:\n    \
        refused = str(error)\n\
    print(json.dumps({'samples': len(samples), 'texts': sum(len(sample['text']) for sample in samples),\n\
        'errors': dataset.decode_errors, 'rows': capfilt.open(job, cut=points).count_rows(),\n\
        'refused': refused}))";

#[test]
fn a_cut_is_trained_on_and_loaded_by_the_python_package() {
    let job = shared();
    let rules = ["--threshold", "0.3", "--json"];
    let made = json_of(recut(job, &rules).args(["--name", "load-points"]));
    json_of(recut(job, &rules).args(["--name", "load-holds", "--materialise"]));
    let kept = |source: &str| made["sources"][source]["kept"].as_u64().unwrap();
    let texts = kept("caption") + kept("synthetic");

    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut load = Command::new(python);
    load.args(["-c", LOAD, &job.url, "load-holds", "load-points"]);
    load.env("CAPFILT_PROGRAM", env!("CARGO_BIN_EXE_capfilt")).env("PYTHONPATH", repo().join("python"));
    let loaded = json_of(&mut load);
    let counts = ["samples", "texts", "errors", "rows"].map(|name| loaded[name].as_u64().unwrap());
    let pairs = made["pairs"].as_u64().unwrap();
    assert_eq!(counts, [pairs, texts, 0, pairs]);
    assert!(loaded["refused"].as_str().unwrap().contains("--materialise"), "{loaded}");

    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("train.toml");
    let text = format!(
        "[run]\nfolder = {:?}\ndevice = \"cpu\"\nbatch = 16\nmax_steps = 1\nlog_every = 1\n[model]\n\
         from = {:?}\nimage_size = 0\n[[data]]\njob = {:?}\ncut = \"load-points\"\n",
        folder.path().join("run"),
        repo().join("tests/data/models/captioner"),
        job.url,
    );
    fs::write(&settings, text).unwrap();
    let said = stderr(&expect(capfilt().args(["train", "captioner", "-c"]).arg(&settings), 0));
    assert!(said.contains(&format!("version 0, cut load-points, of {pairs} pairs")), "{said}");
    assert!(said.contains(&format!("{texts} pairs an epoch")), "{said}");
}

#[test]
fn an_image_that_changed_since_the_job_is_counted_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    let made = [repo().join(".venv/bin/python").display().to_string(), "-c".to_owned(), FOLDER.to_owned()];
    let web = repo().join("tests/data/web/web-00000.parquet");
    expect(Command::new(&made[0]).args(&made[1..]).arg(&web).arg(&images), 0);
    let job = Job::over(images.join("rows.parquet").to_str().unwrap())
        .set(&["filter.web_threshold=0.0", "filter.synthetic_threshold=0.0"]);
    job.run();
    fs::copy(images.join("images/1.jpg"), images.join("images/0.jpg")).unwrap();
    let made = json_of(&mut recut(&job, &["--name", "later", "--materialise", "--json"]));
    assert_eq!((&made["cut"]["images_lost"], &made["pairs"]), (&Value::from(1), &Value::from(8)), "{made}");
    assert_eq!(made["cut"]["pairs"], 7);
}

/// Writes eight rows whose images are objects beside the table.
const FOLDER: &str = "import sys, pathlib, pyarrow as pa, pyarrow.parquet as pq\n\
    rows = pq.read_table(sys.argv[1]).slice(0, 8).to_pylist()\n\
    root = pathlib.Path(sys.argv[2]); (root / 'images').mkdir(parents=True)\n\
    for i, row in enumerate(rows):\n    \
        (root / f'images/{i}.jpg').write_bytes(row['jpg'])\n    \
        row['jpg'] = f'images/{i}.jpg'\n\
    pq.write_table(pa.Table.from_pylist(rows), root / 'rows.parquet')";
