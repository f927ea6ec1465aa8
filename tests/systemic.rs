//! A fault that every shard would meet stops a job with a specific message before the first commit: on one
//! machine, and on many.

use crate::support::s3::{Creates, S3};
use crate::support::{
    Job, capfilt, expect,
    nats::Nats,
    process::{Process, coordinate, work},
    repo, stderr,
};
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use std::{path::Path, sync::Arc};

/// The failed job left no result.
fn assert_nothing_committed(job: &Job) {
    for folder in ["commits", "manifests"] {
        assert!(!job.objects.join(folder).exists(), "there are {folder}");
    }
}

/// A coordinator and a worker that both must end with code 3, and what they said.
fn end_together(mut coordinator: Process, mut worker: Process) -> (String, String) {
    assert_eq!(worker.code(), Some(3), "{}", worker.log());
    assert_eq!(coordinator.code(), Some(3), "{}", coordinator.log());
    (coordinator.log(), worker.log())
}

/// 400 rows in row groups of 100, whose images have valid beginnings and invalid contents.
fn undecodable(path: &Path) {
    let images = BinaryArray::from_iter_values(
        (0..400u32).map(|i| [b"\xff\xd8\xff\xe0".as_slice(), &i.to_le_bytes()].concat()),
    );
    let texts = StringArray::from_iter_values((0..400).map(|_| "a red circle"));
    let batch =
        RecordBatch::try_from_iter([("jpg", Arc::new(images) as ArrayRef), ("caption", Arc::new(texts))])
            .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn images_that_nobody_can_decode_stop_the_job_within_one_shard() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("torn.parquet");
    undecodable(&input);
    let new_job = || Job::over(&input.display().to_string()).set(&["shards.rows=100"]);
    let why = "100 of 100 rows are image_undecodable, more than limits.failure_budget";
    let job = new_job();
    let said = stderr(&expect(&mut job.command("run"), 3));
    assert!(said.contains(why), "{said}");
    assert_nothing_committed(&job);
    let Some(nats) = Nats::start() else { return };
    let job = new_job();
    let coordinator = Process::start(&job, "coordinator", &mut coordinate(&job, &nats.url()));
    let worker = Process::start(&job, "worker", &mut work(&job, &nats.url()));
    let (coordinator, worker) = end_together(coordinator, worker);
    assert!(coordinator.contains(why) && worker.contains(why), "{coordinator}\n{worker}");
    assert_nothing_committed(&job);
    assert!(nats.queue().is_none(), "the queue is still there");
}

/// A copy of the tests' models, which a test may damage.
fn models(folder: &Path) {
    for model in ["captioner", "filter"] {
        std::fs::create_dir_all(folder.join(model)).unwrap();
        for file in std::fs::read_dir(repo().join("tests/data/models").join(model)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(model).join(file.file_name())).unwrap();
        }
    }
}

fn job_with_models(models: &Path) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("job");
    let input = repo().join("tests/data/web/web-00000.parquet").display().to_string();
    let url = objects.display().to_string();
    Job::at(folder, url, objects, &input, &models.display().to_string()).set(&["shards.rows=200"])
}

fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn weights_that_changed_since_the_job_was_made_are_used_by_nobody() {
    let Some(nats) = Nats::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    models(folder.path());
    let job = job_with_models(folder.path());
    let mut coordinator = Process::start(&job, "coordinator", &mut coordinate(&job, &nats.url()));
    coordinator.wait_for("planned");
    flip_a_byte(&folder.path().join("filter/model.safetensors"));
    let worker = Process::start(&job, "worker", &mut work(&job, &nats.url()));
    let (coordinator, worker) = end_together(coordinator, worker);
    assert!(
        worker.contains("model.safetensors has sha256") && worker.contains("the checkpoint changed"),
        "{worker}"
    );
    let why = "the weights are not those the job was started with";
    assert!(coordinator.contains(why) && coordinator.contains("models.filter"), "{coordinator}");
    let run = stderr(&expect(&mut job.command("run"), 3));
    assert!(run.contains(why) && run.contains("models.filter") && !run.contains("models.captioner"), "{run}");
    assert_nothing_committed(&job);
}

#[test]
fn weights_that_are_torn_before_the_job_is_made_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    models(folder.path());
    let torn = folder.path().join("captioner/model.safetensors");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let job = job_with_models(folder.path());
    let why = |said: &str| said.contains("the captioner does not load") && said.contains("model.safetensors");
    let said = stderr(&expect(&mut job.command("run"), 3));
    assert!(why(&said), "{said}");
    if let Some(nats) = Nats::start() {
        let coordinator = Process::start(&job, "coordinator", &mut coordinate(&job, &nats.url()));
        let worker = Process::start(&job, "worker", &mut work(&job, &nats.url()));
        let (coordinator, worker) = end_together(coordinator, worker);
        assert!(
            coordinator.contains("the job was stopped: the models do not load") && why(&coordinator),
            "{coordinator}"
        );
        assert!(why(&worker), "{worker}");
    }
    assert_nothing_committed(&job);
}

/// A server with one of the files of `tests/data/web` and its models, and a job in its bucket.
fn job_in_a_bucket(s3: &S3) -> Job {
    s3.put("web/web-00000.parquet", &repo().join("tests/data/web/web-00000.parquet"));
    let folder = tempfile::tempdir().unwrap();
    let models = repo().join("tests/data/models").display().to_string();
    let mut job = Job::at(folder, s3.url("jobs/one"), s3.file("jobs/one"), &s3.url("web"), &models);
    job.env = s3.env();
    job.set(&["shards.rows=200"])
}

#[test]
fn a_bucket_that_may_not_be_written_is_told_before_anything_is_done() {
    let s3 = S3::start();
    let job = job_in_a_bucket(&s3);
    s3.forbid_writing();
    for mut command in [job.command("run"), coordinate(&job, "nats://127.0.0.1:9")] {
        let said = stderr(&expect(&mut command, 3));
        let why = ["this bucket cannot hold a job: write", "403", "may these credentials write here?"];
        assert!(why.iter().all(|why| said.contains(why)), "{said}");
    }
    assert!(!job.objects.exists(), "something was written");
}

#[test]
fn a_bucket_that_may_not_be_written_any_more_ends_workers_and_coordinator() {
    let Some(nats) = Nats::start() else { return };
    let s3 = S3::start();
    let job = job_in_a_bucket(&s3);
    let mut coordinator = Process::start(&job, "coordinator", &mut coordinate(&job, &nats.url()));
    coordinator.wait_for("planned");
    let mut worker = Process::start(&job, "worker", &mut work(&job, &nats.url()));
    worker.wait_for("is ready");
    s3.forbid_writing();
    let (coordinator, worker) = end_together(coordinator, worker);
    assert!(
        coordinator.contains("this bucket cannot hold a job") && coordinator.contains("403"),
        "{coordinator}"
    );
    assert!(worker.contains("403"), "{worker}");
    // One that comes later finds it before it takes anything.
    let late = stderr(&expect(&mut work(&job, &nats.url()), 3));
    assert!(late.contains("this bucket cannot hold a job"), "{late}");
    assert!(!job.objects.join("manifests").exists());
}

#[test]
fn a_bucket_that_lets_a_second_create_replace_the_first_gets_no_job() {
    let s3 = S3::with(Creates::Ignored);
    let job = job_in_a_bucket(&s3);
    for mut command in [job.command("run"), coordinate(&job, "nats://127.0.0.1:9")] {
        let said = stderr(&expect(&mut command, 3));
        assert!(said.contains("create only once: a second create replaced the first"), "{said}");
    }
    assert!(!job.objects.join("job.json").exists());
    // A job that another process has put there is not processed either.
    let elsewhere = Job::over_one_file();
    elsewhere.run();
    for file in std::fs::read_dir(&elsewhere.objects).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            s3.put(&format!("jobs/one/{}", file.file_name().unwrap().to_str().unwrap()), &file);
        }
    }
    let mut worker = capfilt();
    let said = stderr(&expect(worker.args(["worker", "--job", &job.url]).envs(job.env.clone()), 3));
    assert!(said.contains("create only once"), "{said}");
    assert_nothing_committed(&job);
}
