//! The promise that a job with its pairs in tars (`output.format = "webdataset"`) has the pairs of the same
//! job in Parquet: for webdataset, and for every command that reads a finished job.

use crate::{
    s3,
    support::{
        Job, capfilt, expect,
        exports::{record, six_formats, six_formats_job},
        kills, repo,
        small::first_rows,
        stderr, stdout,
        tables::{Tables, json_of},
    },
};
use capfilt_schemas::hash::sha256_hex;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Instant,
};

const TARS: &str = "output.format=webdataset";

/// The job of `six_formats` with its pairs in tars.
fn in_tars() -> &'static Job {
    static JOB: LazyLock<Job> = LazyLock::new(|| {
        let job = six_formats_job(&six_formats().human.with_file_name("web"), &[TARS]);
        job.run();
        job
    });
    &JOB
}

/// Tars of a finished job, as `capfilt files` lists them.
fn tars(job: &Job) -> Vec<PathBuf> {
    let listed = stdout(&expect(job.command_by_url("files").args(["--table", "pairs"]), 0));
    listed.lines().map(PathBuf::from).collect()
}

/// Samples as webdataset reads them, in the Python that `scripts/python.py readers` provides.
fn webdataset(command: &str, tars: &[PathBuf]) -> Vec<Value> {
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut read = Command::new(python);
    let read = json_of(read.arg(repo().join("tests/tar_pairs.py")).arg(command).args(tars));
    read.as_array().unwrap().clone()
}

#[test]
fn webdataset_reads_every_pair_of_the_parquet_file_from_the_tars() {
    let expected = Tables::of(&six_formats().job).pairs;
    let tars = tars(in_tars());
    assert_eq!((expected.len(), tars.len()), (60, 3), "three shards of 20 images");
    let samples = webdataset("samples", &tars);
    assert_eq!(samples.len(), expected.len());
    for (sample, row) in samples.iter().zip(&expected) {
        assert_eq!(sample["members"], json!(["jpg", "txt", "json"]), "{sample}");
        let found = &sample["record"];
        assert_eq!((&sample["image"], &found["path"]), (&row["image"]["bytes"], &row["image"]["path"]));
        for column in ["key", "width", "height", "texts", "url", "licence", "likes", "share"] {
            assert_eq!(found[column], row[column], "{column}");
        }
        assert_eq!(found["seen"], json!(row["seen"].to_string()), "a list is text");
        let itm = |text: &&Value| text["itm"].as_f64().unwrap();
        let texts = row["texts"].as_array().unwrap();
        let best = texts.iter().rev().max_by(|a, b| itm(a).total_cmp(&itm(b))).unwrap();
        assert_eq!(sample["text"], best["text"], "{sample}");
    }
    let names: Vec<_> = samples.iter().map(|sample| sample["name"].as_str().unwrap()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 60, "a name is unique in the job");
    assert!(names.chunks(20).all(<[_]>::is_sorted), "names have the order of the input");
}

#[test]
fn a_trainer_reads_images_of_every_format_by_one_suffix() {
    let size = |row: &Value| json!([row["width"], row["height"]]);
    let expected: Vec<Value> = Tables::of(in_tars()).pairs.iter().map(size).collect();
    let found = webdataset("tuples", &tars(in_tars()));
    assert_eq!(found.iter().map(|one| json!([one[0], one[1]])).collect::<Vec<_>>(), expected);
}

#[test]
fn verify_status_and_files_count_tars_as_they_count_parquet() {
    let (tars, parquet) = (in_tars(), &six_formats().job);
    assert_eq!(tars.verify(0), parquet.verify(0));
    let status = |job: &Job| json_of(job.command_by_url("status").arg("--json"));
    assert_eq!(status(tars)["shards"], status(parquet)["shards"]);
    assert_eq!(status(tars)["tally"], status(parquet)["tally"]);
    let listed = |job: &Job| json_of(job.command_by_url("files").args(["--table", "pairs", "--json"]));
    assert_eq!(listed(tars)["rows"], listed(parquet)["rows"]);
    for file in listed(tars)["files"].as_array().unwrap() {
        let bytes = fs::read(file["url"].as_str().unwrap()).unwrap();
        assert!(file["url"].as_str().unwrap().ends_with("/pairs.tar"), "{file}");
        assert_eq!(file["sha256"], sha256_hex(&bytes), "{file}");
    }
    let format = |job: &Job| -> Value {
        let record: Value = serde_json::from_slice(&fs::read(job.objects.join("job.json")).unwrap()).unwrap();
        record["settings"]["output"]["format"].clone()
    };
    assert_eq!((format(tars), format(parquet)), (json!("webdataset"), Value::Null));
}

#[test]
fn an_export_of_tars_is_the_export_of_the_parquet_files() {
    let folder = tempfile::tempdir().unwrap();
    let exported = |job: &Job, format: &str, name: &str| {
        let mut command = capfilt();
        command.args(["export", "--job", &job.url, "--format", format, "--json", "--to"]);
        let record = record(command.arg(folder.path().join(format!("{name}-{format}"))));
        (record["files"].clone(), record["counts"].clone())
    };
    for format in ["parquet", "webdataset", "json"] {
        let (tars, parquet) =
            (exported(in_tars(), format, "tars"), exported(&six_formats().job, format, "parquet"));
        assert_eq!(tars, parquet, "{format}");
    }
}

/// Weights after two steps of training on a job.
fn trained(folder: &Path, name: &str, job: &Job) -> Vec<u8> {
    let (run, settings) = (folder.join(name), folder.join(format!("{name}.toml")));
    let text = format!(
        "[run]\nfolder = {run:?}\ndevice = \"cpu\"\nbatch = 16\nmax_steps = 2\n[model]\nfrom = {:?}\n\
         image_size = 0\n[[data]]\njob = {:?}\ntexts = \"both\"\n",
        repo().join("tests/data/models/captioner"),
        job.url
    );
    fs::write(&settings, text).unwrap();
    expect(capfilt().args(["train", "captioner", "-c"]).arg(&settings), 0);
    fs::read(run.join("model/model.safetensors")).unwrap()
}

#[test]
fn training_on_tars_gives_the_weights_of_training_on_the_parquet_files() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, job: &Job| tensors(&trained(folder.path(), name, job)).to_vec();
    assert!(of("tars", in_tars()) == of("parquet", &six_formats().job), "the weights differ");
}

/// Tensors of a file of weights. The header before them names the job.
fn tensors(file: &[u8]) -> &[u8] {
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    &file[8 + header..]
}

#[test]
fn the_python_loader_reads_tars_as_it_reads_parquet() {
    let read = |check: &str, job: &Job| {
        let mut python = Command::new(repo().join(".readers/bin/python"));
        python.arg(repo().join("tests/python_package.py")).args([check, &job.url]);
        python.env("CAPFILT_PROGRAM", env!("CARGO_BIN_EXE_capfilt"));
        python
    };
    let tars = json_of(&mut read("source", in_tars()));
    assert_eq!((&tars["samples"], &tars["errors"]), (&json!(60), &json!(0)));
    assert_eq!(tars, json_of(&mut read("source", &six_formats().job)));
    let refused = expect(&mut read("tables", in_tars()), 1);
    assert!(stderr(&refused).contains("are tars (output.format"), "{}", stderr(&refused));
}

/// A job with tars over 400 rows in shards of 40.
fn small_job(settings: &[&str]) -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    first_rows("web-00000.parquet", 400, 40, &web.join("a.parquet"));
    let url = format!("input.url={}", web.display());
    job.set(&[&url, "shards.rows=40", TARS]).set(settings)
}

#[test]
fn a_second_run_and_a_killed_and_resumed_one_write_the_same_tars() {
    let undisturbed = small_job(&[]);
    let started = Instant::now();
    undisturbed.run();
    let whole_run = started.elapsed().as_secs_f64();
    let committed = undisturbed.committed();
    assert!(committed.keys().any(|(_, _, table)| table == "pairs"));
    let again = small_job(&[]);
    again.run();
    assert!(again.committed() == committed, "the second run wrote other bytes");
    for seed in kills::seeds() {
        let clock = || started.elapsed().as_secs_f64() / whole_run;
        kills::survives(seed, |_| small_job(&[]), &committed, 400, clock);
    }
}

#[test]
fn rows_of_tars_are_retried_and_unneeded_tars_are_collected() {
    let limited = ["limits.image_bytes=1500", "limits.failure_budget=1"];
    let job = small_job(&limited);
    expect(&mut job.command("run"), 1);
    let before = Tables::of(&job);
    expect(job.command_by_url("retry").args(["-s", "limits.image_bytes=50 MiB"]), 0);
    let after = Tables::of(&job);
    assert!(before.pairs.len() < after.pairs.len(), "{} pairs", before.pairs.len());
    assert_eq!(job.verify(0)["rows"], 400);
    let parquet = small_job(&limited).set(&["output.format=parquet"]);
    expect(&mut parquet.command("run"), 1);
    expect(parquet.command_by_url("retry").args(["-s", "limits.image_bytes=50 MiB"]), 0);
    assert_eq!(after.pairs, Tables::of(&parquet).pairs);

    let shard = fs::read_dir(job.objects.join("attempts")).unwrap().next().unwrap().unwrap().path();
    let attempt = shard.join("0123456789abcdef0123456789abcdef");
    fs::create_dir(&attempt).unwrap();
    for name in ["pairs.tar", "other.tar"] {
        fs::write(attempt.join(name), "left over").unwrap();
    }
    let gone = json_of(job.command_by_url("gc").args(["--delete", "--json"]));
    let [object] = &gone["objects"].as_array().unwrap()[..] else { panic!("{gone}") };
    assert!(object["object"].as_str().unwrap().ends_with("/pairs.tar"), "{gone}");
    assert!(!attempt.join("pairs.tar").exists() && attempt.join("other.tar").exists());
    job.verify(0);
}

#[test]
fn tars_in_a_bucket_have_the_bytes_of_tars_in_a_folder_and_are_exported_from_there() {
    let local = Job::over_one_file().set(&["shards.rows=200", TARS]);
    local.run();
    let s3 = s3::bucket();
    let remote = s3::job(&s3, "tars").set(&[TARS]);
    remote.run();
    assert!(remote.committed() == local.committed(), "the committed tables differ");
    assert_eq!(remote.verify(0)["rows"], 800);
    let folder = tempfile::tempdir().unwrap();
    let exported = |job: &Job, name: &str| {
        let mut command = job.command_by_url("export");
        command.args(["--format", "webdataset", "--json", "--to"]).arg(folder.path().join(name));
        record(&mut command)["files"].clone()
    };
    assert_eq!(exported(&remote, "remote"), exported(&local, "local"));
}

/// Replaces bytes of the first committed tar, and records the new digest in its commit.
fn spoil(job: &Job, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let shard = fs::read_dir(job.objects.join("commits")).unwrap().next().unwrap().unwrap().path();
    let name = shard.join("0.json");
    let mut commit: Value = serde_json::from_slice(&fs::read(&name).unwrap()).unwrap();
    let outputs = commit["outputs"].as_array_mut().unwrap();
    let output = outputs.iter_mut().find(|output| output["table"] == "pairs").unwrap();
    let path = job.objects.join(output["path"].as_str().unwrap());
    let mut tar = fs::read(&path).unwrap();
    let at = tar.windows(from.len()).position(|bytes| bytes == from).unwrap();
    tar[at..at + to.len()].copy_from_slice(to);
    output["sha256"] = json!(sha256_hex(&tar));
    fs::write(&path, tar).unwrap();
    fs::write(&name, serde_json::to_vec(&commit).unwrap()).unwrap();
}

#[test]
fn verify_names_what_differs_in_a_tar() {
    for (from, to, what) in [
        (&b"\"width\":"[..], &b"\"depth\":"[..], "is not readable: missing field `width`"),
        (b"\"source\":\"caption\"", b"\"source\":\"another\"", "has other texts than the ledger keeps"),
        (b"ustar", b"ustaz", "a header has a wrong checksum"),
    ] {
        let job = small_job(&["shards.rows=400"]);
        job.run();
        spoil(&job, from, to);
        let found = job.verify(1);
        let problems = found["problems"].as_array().unwrap();
        let of_tar = problems.iter().find(|one| one["object"].as_str().unwrap().ends_with("/pairs.tar"));
        assert!(of_tar.unwrap()["what"].as_str().unwrap().contains(what), "{found}");
    }
}

#[test]
fn a_job_keeps_the_format_of_its_pairs() {
    let job = small_job(&[]);
    job.run();
    let other = expect(job.command("run").args(["-s", "output.format=parquet"]), 2);
    assert!(stderr(&other).contains("output.format: \"webdataset\" → (not set)"), "{}", stderr(&other));
    let refused = expect(job.command("plan").args(["-s", "output.images=reference"]), 2);
    assert!(stderr(&refused).contains("a sample of a tar contains its image"), "{}", stderr(&refused));
}
