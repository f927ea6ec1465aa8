//! A job whose input, models and results all lie in an S3 bucket: a server on loopback, asked over HTTP by
//! the real binary.

use crate::support::s3::{
    Creates, S3,
    faults::{StoreFault, When},
};
use crate::support::{Committed, Job, expect, kills, repo, stderr, stdout, tables::Tables};
use arrow::{
    array::{ArrayRef, AsArray as _, BinaryArray, RecordBatch, StringArray},
    compute::concat_batches,
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, LazyLock},
};

/// Rows of the one file these jobs are over.
const ROWS: u64 = 800;

fn web() -> PathBuf {
    repo().join("tests/data/web/web-00000.parquet")
}

/// Committed bytes of a job over the same input in a folder, with one worker.
static IN_A_FOLDER: LazyLock<Committed> = LazyLock::new(|| {
    let job = Job::over(&web().display().to_string()).set(&["shards.rows=200"]);
    job.run();
    job.committed()
});

/// A server with the tests' models and one of its files.
pub fn bucket() -> S3 {
    with_web(S3::start())
}

fn with_web(s3: S3) -> S3 {
    s3.put("web/web-00000.parquet", &web());
    put_models(&s3);
    s3
}

pub fn put_models(s3: &S3) {
    for model in ["captioner", "filter"] {
        s3.put_folder(&format!("models/{model}"), &repo().join("tests/data/models").join(model));
    }
}

/// A job in the bucket, with a separate cache for its models.
pub fn job(s3: &S3, name: &str) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache").display().to_string();
    let prefix = format!("jobs/{name}");
    let mut job = Job::at(folder, s3.url(&prefix), s3.file(&prefix), &s3.url("web"), &s3.url("models"));
    job.env = s3.env();
    job.env.push(("CAPFILT_CACHE".to_owned(), cache));
    job.set(&["shards.rows=200"])
}

#[test]
fn a_job_in_a_bucket_has_the_bytes_of_one_in_a_folder_with_any_number_of_workers() {
    let s3 = bucket();
    let one = job(&s3, "one");
    let mut two = job(&s3, "two").set(&["workers.devices=[\"cpu\", \"cpu\"]"]);
    two.env.clone_from(&one.env);
    for job in [&one, &two] {
        job.run();
        assert!(job.committed() == *IN_A_FOLDER, "{}: the committed tables differ", job.url);
        assert_eq!(job.verify(0)["rows"], ROWS);
        let status = stdout(&expect(&mut job.command_by_url("status"), 0));
        assert!(status.contains("4 of 4 committed"), "{status}");
    }
    // Each run reads the weights to know them; workers copy them once, into the cache the two share.
    assert_eq!(s3.requests("GET /capfilt/models/captioner/model.safetensors"), 3);
}

#[test]
fn two_runs_of_one_job_at_once_give_one_result() {
    let s3 = bucket();
    let (one, other) = (job(&s3, "shared"), job(&s3, "shared"));
    let running = one.command("run").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    other.run();
    assert!(running.wait_with_output().unwrap().status.success());
    assert_eq!(one.verify(0)["rows"], ROWS);
    assert!(one.committed() == *IN_A_FOLDER, "the committed tables differ");
}

#[test]
fn runs_and_workers_killed_20_times_lose_no_row_and_double_none() {
    let s3 = bucket();
    // Shards of 40 rows, so that there are twenty.
    write(&s3.file("web/web-00000.parquet"), &read(&web()), 40);
    let folder = tempfile::tempdir().unwrap();
    let cache = ("CAPFILT_CACHE".to_owned(), folder.path().display().to_string());
    let new_job = |name: String| {
        let mut job = job(&s3, &name).set(&["shards.rows=40"]);
        job.env.push(cache.clone());
        job
    };
    let undisturbed = new_job("undisturbed".to_owned());
    undisturbed.run();
    // The clock is the server's and counts what is asked about the job: runs die on the way to a record or a
    // table, in the middle of one, and before its answer.
    let whole_run = s3.requests("jobs") as f64;
    let clock = || s3.requests("jobs") as f64 / whole_run;
    for seed in kills::seeds() {
        let new_job = |i: u32| new_job(format!("killed-{seed}-{i}"));
        kills::survives(seed, new_job, &undisturbed.committed(), ROWS, clock);
    }
}

#[test]
fn an_output_of_several_parts_is_committed_like_any_other() {
    const SEED: u64 = 7;
    println!("seed {SEED}");
    let mut random = StdRng::seed_from_u64(SEED);
    let folder = tempfile::tempdir().unwrap();
    let noisy = folder.path().join("noise.parquet");
    write(&noisy, &noise(40, &mut random), 10_000);
    let s3 = bucket();
    s3.put("noise/noise.parquet", &noisy);
    // Every image is kept: 40 of 270 kB.
    let settings = ["filter.web_threshold=0", "filter.synthetic_threshold=0"];
    let local = Job::over(&noisy.display().to_string()).set(&settings);
    local.run();
    let job = job(&s3, "noise").set(&settings).set(&[&format!("input.url={}", s3.url("noise"))]);
    job.run();
    assert_eq!(job.verify(0)["rows"], 40);
    let committed = job.committed();
    assert!(committed.values().any(|table| table.len() > 9 << 20), "no table needs several parts");
    assert!(committed == local.committed(), "the committed tables differ");
}

/// Images of noise, which no encoder makes small.
fn noise(rows: u64, random: &mut StdRng) -> RecordBatch {
    let image = |_| {
        let mut pixels = vec![0; 300 * 300 * 3];
        random.fill_bytes(&mut pixels);
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_raw(300, 300, pixels)
            .unwrap()
            .write_to(&mut png, image::ImageFormat::Png)
            .unwrap();
        png.into_inner()
    };
    let images = BinaryArray::from_iter_values((0..rows).map(image));
    let texts = StringArray::from_iter_values((0..rows).map(|_| "a red circle"));
    RecordBatch::try_from_iter([("jpg", Arc::new(images) as ArrayRef), ("caption", Arc::new(texts))]).unwrap()
}

/// All rows of a Parquet file.
pub fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Writes a Parquet file, and tells its length.
pub fn write(path: &Path, batch: &RecordBatch, rows_per_group: usize) -> u64 {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    path.metadata().unwrap().len()
}

#[test]
fn an_image_whose_store_fails_is_fetched_again_and_one_that_is_not_there_is_a_row_s_fault() {
    let s3 = bucket();
    let images = read(&web());
    let images = images.column_by_name("jpg").unwrap().as_binary::<i32>();
    for row in 0..3 {
        std::fs::create_dir_all(s3.file("named/images")).unwrap();
        std::fs::write(s3.file(&format!("named/images/{row}.jpg")), images.value(row)).unwrap();
    }
    let paths = StringArray::from_iter_values((0..4).map(|row| format!("images/{row}.jpg")));
    let texts = StringArray::from_iter_values((0..4).map(|_| "a red circle"));
    let rows = [("jpg", Arc::new(paths) as ArrayRef), ("caption", Arc::new(texts))];
    write(&s3.file("named/rows.parquet"), &RecordBatch::try_from_iter(rows).unwrap(), 10);
    let job = job(&s3, "named").set(&[&format!("input.url={}", s3.url("named"))]);
    // An error that the store's client does not retry.
    s3.faults.arm_for("images/1.jpg", StoreFault::Status { code: 400, times: 1, when: When::BeforeIt });
    let run = expect(&mut job.command("run"), 1);
    assert!(s3.faults.are_spent(), "{}", stderr(&run));
    let tables = Tables::of(&job);
    let statuses: Vec<_> = tables.ledger.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["judged", "judged", "judged", "image_unreadable"]);
}

#[test]
fn a_listing_that_breaks_off_is_asked_for_again() {
    let s3 = bucket();
    let job = job(&s3, "torn");
    for _ in 0..3 {
        s3.faults.arm_for("list-type=2", StoreFault::Torn(0.5));
    }
    s3.faults.arm_for("jobs/torn/job.json", StoreFault::Torn(0.5));
    job.run();
    assert!(s3.faults.are_spent());
    assert!(job.committed() == *IN_A_FOLDER, "the committed tables differ");
}

#[test]
fn an_input_object_that_changed_since_the_plan_is_not_read() {
    let s3 = bucket();
    let job = job(&s3, "changed");
    job.run();
    std::fs::remove_dir_all(job.objects.join("commits")).unwrap();
    let mut bytes = std::fs::read(web()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(s3.file("web/web-00000.parquet"), bytes).unwrap();
    // A worker trusts the plan, and asks for the objects it names at the state it names.
    let worker = expect(&mut job.command_by_url("worker"), 1);
    assert!(stderr(&worker).contains("the input changed since the job was planned"), "{}", stderr(&worker));
    assert!(!job.objects.join("commits").exists());
    let run = expect(&mut job.command("run"), 2);
    assert!(stderr(&run).contains("input file web-00000.parquet changed"), "{}", stderr(&run));
}

#[test]
fn check_says_that_the_bucket_is_writable_and_create_only_and_leaves_nothing_in_it() {
    let s3 = bucket();
    let job = job(&s3, "checked");
    let said = stdout(&expect(&mut job.command("check"), 0));
    for step in ["write", "read", "report a missing object", "create", "create only once", "list", "delete"] {
        assert!(said.contains(&format!("bucket    {step}: works")), "{step}\n{said}");
    }
    assert!(said.contains("input     1 files, 4 shards, 800 rows"), "{said}");
    assert_eq!(files_below(&job.objects), Vec::<PathBuf>::new());
}

#[test]
fn check_refuses_a_bucket_that_is_not_create_only() {
    let s3 = with_web(S3::with(Creates::Ignored));
    let said = stdout(&expect(&mut job(&s3, "checked").command("check"), 3));
    assert!(said.contains("create only once: a second create replaced the first"), "{said}");
}

#[test]
fn without_credentials_check_says_so() {
    let s3 = bucket();
    let mut job = job(&s3, "anonymous");
    job.env.retain(|(key, _)| key != "AWS_ACCESS_KEY_ID" && key != "AWS_SECRET_ACCESS_KEY");
    // Where a machine in the cloud would ask for its role's credentials; nothing is there.
    job.env.push(("AWS_METADATA_ENDPOINT".to_owned(), "http://127.0.0.1:9".to_owned()));
    let said = stdout(&expect(&mut job.command("check"), 3));
    assert!(said.contains("the environment has no credentials"), "{said}");
}

#[test]
fn gc_lists_and_aborts_uploads_that_a_killed_attempt_left_and_no_others() {
    let s3 = bucket();
    let job = job(&s3, "parts");
    job.run();
    let shard = std::fs::read_dir(job.objects.join("commits")).unwrap().next().unwrap().unwrap().file_name();
    let key =
        |attempt: &str| format!("jobs/parts/attempts/{}/{attempt}/pairs.parquet", shard.to_str().unwrap());
    let attempts = job.objects.join("attempts").join(&shard);
    let attempt = std::fs::read_dir(attempts).unwrap().next().unwrap().unwrap().file_name();
    // Another attempt at the same shard that died, a stranger's below the job, and one elsewhere.
    let died = key(&attempt.to_str().unwrap().chars().rev().collect::<String>());
    let others =
        ["jobs/parts/attempts/strange".to_owned(), "elsewhere/attempts/x/y/pairs.parquet".to_owned()];
    others.iter().chain([&died]).for_each(|key| s3.uploads.abandon(key));
    let listed = stdout(&expect(&mut job.command_by_url("gc"), 0));
    assert!(listed.contains("1 unfinished uploads not needed; --delete removes them"), "{listed}");
    assert_eq!(s3.uploads.keys().len(), 3);
    expect(job.command_by_url("gc").arg("--delete"), 0);
    let mut left = s3.uploads.keys();
    left.sort();
    assert_eq!(left, [others[1].clone(), others[0].clone()]);
    assert!(stdout(&expect(&mut job.command_by_url("gc"), 0)).starts_with("0 objects"));
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn wrong_credentials_end_with_code_3_and_a_message_that_shows_no_secret() {
    let s3 = bucket();
    let mut job = job(&s3, "refused");
    for (variable, value) in [("AWS_SECRET_ACCESS_KEY", "not-the-secret"), ("AWS_ACCESS_KEY_ID", "UNKNOWN")] {
        job.env.push((variable.to_owned(), value.to_owned()));
        let by_settings = ["check", "plan", "run"].map(|name| job.command(name));
        let by_url = ["status", "verify", "worker"].map(|name| job.command_by_url(name));
        for mut command in by_settings.into_iter().chain(by_url) {
            let output = expect(&mut command, 3);
            let said = stdout(&output) + &stderr(&output);
            assert!(said.contains("credentials") && said.contains("s3://capfilt/"), "{command:?}: {said}");
            assert!(!said.contains("not-the-secret"), "{said}");
        }
    }
}

#[test]
fn variables_that_are_not_the_cloud_s_reach_no_bucket() {
    let s3 = bucket();
    let mut job = job(&s3, "checked");
    let others = [
        ("TOKEN", "abc"),
        ("ENDPOINT", "http://127.0.0.1:9"),
        ("TIMEOUT", "soon"),
        ("SKIP_SIGNATURE", "true"),
    ];
    job.env.extend(others.map(|(key, value)| (key.to_owned(), value.to_owned())));
    expect(&mut job.command("check"), 0);
}
