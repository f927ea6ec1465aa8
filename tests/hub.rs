//! Jobs whose input and models are repositories of the Hugging Face Hub: a server on loopback, with a second
//! host for the bytes of large files.

use crate::support::{
    Committed, Job, expect, python, repo, s3::S3, small::first_rows, stderr, stdout, tables::json_of,
};
use capfilt_store_testing::hub::{Hub, Refusal};
use std::{path::Path, sync::LazyLock};

const WEB: &str = "datasets/tests/web";
const TOKEN: &str = "hf_of_the_tests";

/// Committed bytes of a job over the same files in a folder.
static IN_A_FOLDER: LazyLock<Committed> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    write_web(folder.path());
    let job = Job::over(&folder.path().display().to_string()).set(&["shards.rows=20"]);
    job.run();
    job.committed()
});

fn write_web(folder: &Path) {
    for file in ["web-00000.parquet", "web-00001.parquet"] {
        first_rows(file, 60, 20, &folder.join(file));
    }
}

/// A Hub with two Parquet files below `data`, and the models of the tests; it requires a token.
fn hub() -> Hub {
    let hub = Hub::start();
    hub.require_token(TOKEN);
    let folder = tempfile::tempdir().unwrap();
    write_web(folder.path());
    put_folder(&hub, WEB, "data/", folder.path());
    hub.put(WEB, "README.md", b"a card".to_vec());
    hub.commit(WEB, "main");
    for model in ["captioner", "filter"] {
        let repository = format!("models/tests/{model}");
        put_folder(&hub, &repository, "", &repo().join("tests/data/models").join(model));
        hub.commit(&repository, "main");
    }
    hub
}

fn put_folder(hub: &Hub, repository: &str, prefix: &str, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        hub.put(repository, &format!("{prefix}{name}"), std::fs::read(&path).unwrap());
    }
}

/// A job in a folder over the Hub's data, with the Hub's models.
fn job(hub: &Hub) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("job");
    let cache = folder.path().join("cache").display().to_string();
    let url = objects.display().to_string();
    let mut job = Job::at(folder, url, objects, "hf://datasets/tests/web/data", "hf://tests");
    let variables = [("HF_ENDPOINT", hub.endpoint()), ("HF_TOKEN", TOKEN), ("CAPFILT_CACHE", &cache)];
    job.env = variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    // A proxy for the rest of the world leads nowhere from here.
    job.env.push(("NO_PROXY".to_owned(), "127.0.0.1".to_owned()));
    job.set(&["shards.rows=20"])
}

fn record(job: &Job) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(job.objects.join("job.json")).unwrap()).unwrap()
}

#[test]
fn a_job_over_the_hub_has_the_bytes_of_one_over_a_folder() {
    let hub = hub();
    let job = job(&hub);
    let planned = stdout(&expect(job.command("plan").args(["--calibrate", "0"]), 0));
    assert!(
        planned.contains("input   hf://datasets/tests/web@") && planned.contains("rows    120"),
        "{planned}"
    );
    job.run();
    assert!(job.committed() == *IN_A_FOLDER, "the committed tables differ");
    assert_eq!(job.verify(0)["rows"], 120);
    // The job names commits, so that every machine reads one state.
    let settings = &record(&job)["settings"];
    for (url, start) in [
        (&settings["input"]["url"], "hf://datasets/tests/web@"),
        (&settings["models"]["captioner"], "hf://tests/captioner@"),
        (&settings["models"]["filter"], "hf://tests/filter@"),
    ] {
        assert!(url.as_str().unwrap().starts_with(start), "{url}");
    }
    assert!(hub.cache_requests() > 0 && !hub.has_leaked_the_token());
    let again = stderr(&job.run());
    assert!(again.contains("resuming") && !again.contains("warning"), "{again}");
}

#[test]
fn a_moved_branch_is_named_and_the_job_reads_the_planned_commit() {
    let hub = hub();
    let job = job(&hub);
    expect(job.command("run").arg("--plan-only"), 0);
    let planned = record(&job)["settings"]["input"]["url"].as_str().unwrap().to_owned();
    // A commit that changes another file is a warning alone.
    hub.put(WEB, "README.md", b"another card".to_vec());
    hub.commit(WEB, "main");
    let said = stderr(&expect(job.command("run").arg("--plan-only"), 0));
    assert!(said.contains(&format!("the job was planned over {planned} and reads that")), "{said}");
    // Other rows under the same name, and a file less.
    let folder = tempfile::tempdir().unwrap();
    first_rows("web-00002.parquet", 60, 20, &folder.path().join("web-00000.parquet"));
    put_folder(&hub, WEB, "data/", folder.path());
    hub.remove(WEB, "data/web-00001.parquet");
    let commit = hub.commit(WEB, "main");
    let said = stderr(&expect(&mut job.command("run"), 2));
    for expected in
        ["input file web-00000.parquet changed", "input file web-00001.parquet was removed", &commit]
    {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = stderr(&expect(job.command("run").arg("--allow-changed"), 0));
    assert!(said.contains(&format!("planned over {planned}")), "{said}");
    assert!(job.committed() == *IN_A_FOLDER, "rows of the new commit were mixed in");
    assert_eq!(job.verify(0)["rows"], 120);
}

#[test]
fn a_busy_hub_and_ended_addresses_do_not_end_a_job() {
    let hub = hub();
    let job = job(&hub);
    expect(job.command("run").arg("--plan-only"), 0);
    hub.end_addresses();
    hub.be_busy(3);
    job.run();
    assert!(job.committed() == *IN_A_FOLDER, "the committed tables differ");
}

#[test]
fn what_the_hub_refuses_is_reported_with_the_next_step() {
    let hub = hub();
    let plan = |job: &Job, code: i32| {
        let output = expect(job.command("plan").args(["--calibrate", "0"]), code);
        stdout(&output) + &stderr(&output)
    };
    let mut without_token = job(&hub);
    without_token.env.retain(|(key, _)| key != "HF_TOKEN");
    let said = plan(&without_token, 3);
    assert!(said.contains("HF_TOKEN") && said.contains("hf auth login"), "{said}");
    let said = plan(&job(&hub).set(&["input.url=hf://datasets/tests/web@v9/data"]), 3);
    assert!(said.contains("no branch, tag or commit `v9`"), "{said}");
    let said = plan(&job(&hub).set(&["input.url=hf://datasets/tests/none"]), 3);
    assert!(said.contains("there is no such repository"), "{said}");
    let said = plan(&job(&hub).set(&["input.url=hf://datasets/tests/web/none"]), 2);
    assert!(said.contains("hf://datasets/tests/web"), "{said}");
    hub.refuse(Some(Refusal { status: 403, code: "GatedRepo", message: "Access to web is restricted" }));
    let said = plan(&job(&hub), 3);
    assert!(said.contains("must accept its conditions at") && !said.contains(TOKEN), "{said}");
    hub.refuse(None);
    let said =
        stderr(&expect(&mut job(&hub).set(&["job.url=hf://datasets/tests/web/job"]).command("run"), 3));
    assert!(said.contains("hf://buckets/"), "{said}");
}

/// A job in a bucket of the Hub, over the bucket's `web`: the S3 server of the tests, which redirects reads
/// and ignores `If-Match`.
fn in_a_bucket(s3: &S3) -> Job {
    s3.ignore_if_match();
    s3.gateway.redirect();
    std::fs::create_dir(s3.file("web")).unwrap();
    write_web(&s3.file("web"));
    let folder = tempfile::tempdir().unwrap();
    let models = repo().join("tests/data/models").display().to_string();
    let (url, input) = ("hf://buckets/me/capfilt/jobs/1".to_owned(), "hf://buckets/me/capfilt/web");
    let mut job = Job::at(folder, url, s3.file("jobs/1"), input, &models);
    job.env = s3.env();
    let endpoint = job.env.iter().find(|(key, _)| key == "AWS_ENDPOINT_URL").unwrap().1.clone();
    // The endpoint of the environment is that of another store.
    job.env.retain(|(key, _)| key != "AWS_ENDPOINT_URL");
    let table = format!("[stores.\"hf://buckets/me\"]\nendpoint = \"{endpoint}\"\nallow_http = true\n");
    job.env.push(("CAPFILT_STORES".to_owned(), table));
    job.set(&["shards.rows=20"])
}

#[test]
fn a_job_in_a_bucket_of_the_hub_has_the_bytes_of_one_in_a_folder() {
    for hides_etags in [false, true] {
        let s3 = S3::start();
        let job = in_a_bucket(&s3);
        if hides_etags {
            s3.gateway.hide_etags();
        }
        job.run();
        assert!(job.committed() == *IN_A_FOLDER, "the committed tables differ");
        assert_eq!(job.verify(0)["rows"], 120);
        assert!(!s3.gateway.has_leaked_a_signature());
    }
}

#[test]
fn a_file_of_a_bucket_that_is_replaced_in_mid_job_is_not_mixed_in() {
    for hides_etags in [false, true] {
        let s3 = S3::start();
        let job = in_a_bucket(&s3);
        if hides_etags {
            s3.gateway.hide_etags();
        }
        expect(job.command("run").arg("--plan-only"), 0);
        // Other rows under the same name, in as many bytes.
        let file = s3.file("web/web-00000.parquet");
        let bytes = std::fs::read(&file).unwrap().len();
        let mut other = std::fs::read(s3.file("web/web-00001.parquet")).unwrap();
        other.resize(bytes, 0);
        std::fs::write(&file, other).unwrap();
        let said = stderr(&expect(job.command_by_url("worker").args(["--device", "cpu"]), 1));
        assert!(said.contains("the input changed since the job was planned"), "{said}");
        assert!(job.committed().keys().all(|(file, ..)| file == "web-00001.parquet"), "{said}");
    }
}

/// The server of these tests must be like the Hub: the Hub's own client reads it.
#[test]
fn the_hub_s_own_client_reads_the_same_files_and_digests_from_the_server_of_the_tests() {
    let hub = hub();
    let read = json_of(python("tests/hub.py").args([hub.endpoint(), TOKEN, "tests/web"]));
    let folder = tempfile::tempdir().unwrap();
    write_web(folder.path());
    assert_eq!(read.as_object().unwrap().len(), 3);
    for name in ["web-00000.parquet", "web-00001.parquet"] {
        let file = &read[&format!("data/{name}")];
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(file["size"], bytes.len(), "{name}");
        for digest in ["sha256", "etag", "listed"] {
            assert_eq!(file[digest], capfilt_schemas::hash::sha256_hex(&bytes), "{name}: {digest}");
        }
    }
    let card = &read["README.md"];
    assert!(card["etag"] == card["listed"] && card["size"] == 6, "{card}");
    assert!(!hub.has_leaked_the_token());
}
