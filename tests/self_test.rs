//! The known-answer test: a worker proves itself before its first shard, or does not start.

use crate::support::s3::S3;
use crate::support::{
    Job, expect,
    nats::Nats,
    process::{Process, coordinator},
    repo,
    shared::job_of,
    small::first_rows,
    stderr, stdout,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Result of a healthy run.
static GENUINE: LazyLock<Value> = LazyLock::new(|| {
    let job = job_of(3, 40);
    job.run();
    read(&answers(&job))
});

fn answers(job: &Job) -> PathBuf {
    job.objects.join("known-answers.json")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn write(path: &Path, value: &Value) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, serde_json::to_vec_pretty(value).unwrap()).unwrap();
}

/// A job that was given these answers before its first run.
fn job_with(known: &Value) -> Job {
    let job = job_of(3, 40);
    write(&answers(&job), known);
    job
}

/// The tests' models in a folder that may be written to.
fn own_models() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for role in ["captioner", "filter"] {
        std::fs::create_dir(folder.path().join(role)).unwrap();
        for file in std::fs::read_dir(repo().join("tests/data/models").join(role)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(role).join(file.file_name())).unwrap();
        }
    }
    folder
}

fn over_models(folder: &Path) -> Job {
    let url = |role: &str| format!("models.{role}={}", folder.join(role).display());
    job_of(3, 40).set(&[&url("captioner"), &url("filter")])
}

/// The one file of known answers in a checkpoint's folder.
fn beside(checkpoint: &Path) -> PathBuf {
    let files = std::fs::read_dir(checkpoint).unwrap().map(|file| file.unwrap().path());
    let mut known =
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("known-answers-"));
    let file = known.next().expect("check leaves a file");
    assert_eq!(known.next(), None);
    file
}

#[test]
fn a_job_s_first_run_makes_them_and_workers_with_other_threads_reproduce_them() {
    let job = job_of(3, 40);
    job.run();
    let made = std::fs::read(answers(&job)).unwrap();
    assert_eq!(read(&answers(&job))["made"]["precision"], "f32");
    std::fs::remove_dir_all(job.objects.join("commits")).unwrap();
    std::fs::remove_dir_all(job.objects.join("manifests")).unwrap();
    expect(job.command("run").args(["-s", "workers.model_threads=2"]), 0);
    assert_eq!(std::fs::read(answers(&job)).unwrap(), made);
    assert_eq!(job.verify(0)["rows"], 120);
}

#[test]
fn half_precision_is_held_against_f32_and_passes() {
    let job = job_of(3, 20).set(&["models.precision=bf16"]);
    job.run();
    assert_eq!(read(&answers(&job))["made"]["precision"], "f32");
    assert_eq!(read(&answers(&job))["scores"], GENUINE["scores"]);
}

#[test]
fn eight_bits_are_held_against_f32_too_or_refused_by_a_cpu_without_them() {
    let job = job_of(3, 20).set(&["models.precision=int8"]);
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if flags.contains("avx512_bf16") && flags.contains("avx512_vnni") && !flags.contains("amx_bf16") {
        job.run();
        assert_eq!(read(&answers(&job))["made"]["precision"], "f32");
        assert_eq!(job.verify(0)["rows"], 60);
    } else {
        let refused = String::from_utf8_lossy(&expect(&mut job.command("run"), 3).stderr).into_owned();
        assert!(refused.contains("int8") && refused.contains("AVX512-VNNI"), "{refused}");
    }
}

#[test]
fn a_worker_that_does_not_reproduce_them_names_the_number_and_commits_nothing() {
    let moved = |value: &Value, by: f64| json!(value.as_f64().unwrap() + by);
    let spoilt = |spoil: &dyn Fn(&mut Value)| {
        let mut known = GENUINE.clone();
        spoil(&mut known);
        known
    };
    let cases = [
        (
            spoilt(&|known| known["scores"][4]["itm"] = moved(&known["scores"][4]["itm"], 0.01)),
            "P(match) of picture `discs` and text `two dogs run on a beach in the sun`: expected 0.01",
        ),
        (
            spoilt(&|known| known["scores"][0]["itc"] = moved(&known["scores"][0]["itc"], -0.01)),
            "1 of 83 known answers are not reproduced; the first: cosine of picture `gradient` and text \
             `a red circle`",
        ),
        (spoilt(&|known| known["scores"][8]["itc"] = Value::Null), "cosine of picture `noise`"),
        (
            spoilt(&|known| {
                let word = &mut known["captions"][1]["log_probabilities"][2];
                *word = moved(word, 0.01);
            }),
            "word 3 of the caption of picture `discs`: expected -0.4",
        ),
        (
            spoilt(&|known| known["captions"][2]["ids"][9] = json!(16)),
            "the log-probability of id 16, word 6 of the caption",
        ),
        (spoilt(&|known| known["captions"][2]["ids"][9] = json!(4_000_000)), "4000000"),
        (
            spoilt(&|known| known["captions"][2]["log_probabilities"] = json!([])),
            "the caption of picture `noise`",
        ),
        (
            spoilt(&|known| drop(known["scores"].as_array_mut().unwrap().pop())),
            "picture `noise` and text `sale 50",
        ),
        (spoilt(&|known| known["models"]["filter"] = json!("0123456789abcdef")), "made with another filter"),
        (spoilt(&|known| known["version"] = json!(0)), "version 0"),
        (json!({"a": "poem"}), "cannot be read"),
    ];
    for (known, named) in cases {
        let job = job_with(&known);
        let given = std::fs::read(answers(&job)).unwrap();
        let run = stderr(&expect(&mut job.command("run"), 3));
        assert!(run.contains(named) && run.contains("known-answers.json"), "`{named}` is not in\n{run}");
        let worker = stderr(&expect(job.command_by_url("worker").args(["--device", "cpu"]), 3));
        assert!(worker.contains(named), "`{named}` is not in\n{worker}");
        assert!(!job.objects.join("commits").exists() && !job.objects.join("attempts").exists(), "{named}");
        assert!(std::fs::read(answers(&job)).unwrap() == given, "{named}: what is there is not replaced");
    }
}

#[test]
fn a_job_whose_answers_are_put_right_goes_on() {
    let job = job_with(&json!({"a": "poem"}));
    expect(&mut job.command("run"), 3);
    std::fs::remove_file(answers(&job)).unwrap();
    job.run();
    assert_eq!(read(&answers(&job)), *GENUINE);
    assert_eq!(job.verify(0)["rows"], 120);
}

#[test]
fn verify_names_answers_that_are_of_other_models() {
    let job = job_of(3, 40);
    job.run();
    let mut known = GENUINE.clone();
    known["models"]["prompt"] = json!("a painting of ");
    write(&answers(&job), &known);
    let found = job.verify(1);
    assert_eq!(found["problems"][0]["object"], "known-answers.json", "{found}");
}

#[test]
fn check_leaves_them_beside_the_checkpoint_and_jobs_take_them_over() {
    let models = own_models();
    let check = |job: &Job, arguments: &[&str], code: i32| {
        let output = expect(job.command("check").arg("--json").args(arguments), code);
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()
    };
    let job = over_models(models.path());
    let first = check(&job, &["--write-known-answers"], 0);
    let file = beside(&models.path().join("captioner"));
    let bytes = std::fs::read(&file).unwrap();
    let reproduced = |found: &Value| found["findings"].to_string().contains("83 known answers reproduced");
    assert!(reproduced(&first), "{first}");
    let second = check(&job, &["--write-known-answers", "-s", "models.precision=bf16"], 0);
    assert!(reproduced(&second), "{second}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "one file for every precision, written once");
    // A later job takes over what the user vouches for, and its models are the ones they were without that
    // file.
    let mut vouched = read(&file);
    vouched["made"]["device"] = json!("one I trust");
    write(&file, &vouched);
    job.run();
    assert_eq!(read(&answers(&job)), vouched);
    // Checkpoints that answer otherwise are found before a job.
    vouched["scores"][3]["itm"] = json!(0.99);
    write(&file, &vouched);
    let other = over_models(models.path());
    let found = check(&other, &[], 3);
    assert!(found["ok"] == false && found["findings"].to_string().contains("expected 0.99, got"), "{found}");
    expect(&mut other.command("run"), 3);
    assert!(!other.objects.join("commits").exists());
}

/// Turns every number of a tensor into its negative.
fn negate(weights: &Path, tensor: &str) {
    let mut bytes = std::fs::read(weights).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let entries: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let offset = |i: usize| 8 + header + entries[tensor]["data_offsets"][i].as_u64().unwrap() as usize;
    bytes[offset(0)..offset(1)].chunks_mut(4).for_each(|number| number[3] ^= 0x80);
    std::fs::write(weights, bytes).unwrap();
}

/// Damages the filter in a cache of checkpoints.
fn damage(cache: &Path) {
    let folders = std::fs::read_dir(cache.join("models")).unwrap().map(|folder| folder.unwrap().path());
    let is_filter = |folder: &PathBuf| {
        std::fs::read_to_string(folder.join("config.json")).unwrap().contains("ImageTextRetrieval")
    };
    let filter: Vec<PathBuf> = folders.filter(is_filter).collect();
    assert_eq!(filter.len(), 1);
    negate(&filter[0].join("model.safetensors"), "itm_head.weight");
}

/// A job in the bucket, with a separate cache for its models.
fn remote_job(s3: &S3, name: &str) -> (Job, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let prefix = format!("jobs/{name}");
    let mut job = Job::at(folder, s3.url(&prefix), s3.file(&prefix), &s3.url("web"), &s3.url("models"));
    job.env = s3.env();
    job.env.push(("CAPFILT_CACHE".to_owned(), cache.display().to_string()));
    (job.set(&["shards.rows=40"]), cache)
}

fn remote() -> S3 {
    let s3 = S3::start();
    std::fs::create_dir_all(s3.file("web")).unwrap();
    first_rows("web-00000.parquet", 120, 40, &s3.file("web/web-00000.parquet"));
    for role in ["captioner", "filter"] {
        s3.put_folder(&format!("models/{role}"), &repo().join("tests/data/models").join(role));
    }
    s3
}

#[test]
fn a_machine_with_damaged_weights_leaves_the_cluster_and_the_job_goes_on_without_it() {
    let Some(nats) = Nats::start() else { return };
    let s3 = remote();
    let (job, cache) = remote_job(&s3, "shared");
    let worker = |name: &str| {
        let mut worker = job.command_by_url("worker");
        worker.args(["--device", "cpu", "--cluster", &nats.url()]);
        Process::start(&job, name, &mut worker)
    };
    expect(job.command("check").arg("--write-known-answers"), 0);
    damage(&cache);
    let mut coordinator = coordinator(&job, &nats);
    let mut sick = worker("sick");
    assert_eq!(sick.code(), Some(3), "{}", sick.log());
    assert!(sick.log().contains("P(match) of picture `gradient`"), "{}", sick.log());
    assert!(!job.objects.join("commits").exists());
    std::fs::remove_dir_all(&cache).unwrap();
    let mut healthy = worker("healthy");
    assert_eq!(
        (coordinator.code(), healthy.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        healthy.log()
    );
    assert_eq!(job.verify(0)["rows"], 120);
}

#[test]
fn damaged_weights_never_become_the_truth() {
    let s3 = remote();
    let (job, cache) = remote_job(&s3, "first");
    job.run();
    damage(&cache);
    let (mut other, _) = remote_job(&s3, "second");
    other.env.clone_from(&job.env);
    let run = stderr(&expect(&mut other.command("run"), 3));
    assert!(run.contains("delete it, and it is fetched again"), "{run}");
    assert!(!answers(&other).exists() && !other.objects.join("commits").exists());
}
