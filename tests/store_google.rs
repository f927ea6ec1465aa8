//! Google's stores, at a real fake-gcs-server. It reads as Google does, and cannot be written to in the form
//! that object_store speaks, so the job lies in a folder.

use crate::support::{Job, expect, google::Google, repo, small::first_rows, stderr, stdout};
use std::path::Path;

/// Rows of the one file, in groups and shards of twenty.
const ROWS: usize = 80;

/// A server with an input and the models in it.
fn google(folder: &Path) -> Option<Google> {
    let bucket = folder.join("capfilt");
    std::fs::create_dir_all(bucket.join("web")).unwrap();
    first_rows("web-00000.parquet", ROWS, 20, &bucket.join("web/a.parquet"));
    for model in ["captioner", "filter"] {
        let to = bucket.join("models").join(model);
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(repo().join("tests/data/models").join(model)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    Google::over(folder)
}

fn job(variables: &[(&str, &str)]) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("job");
    let mut job =
        Job::at(folder, objects.display().to_string(), objects, "gs://capfilt/web", "gs://capfilt/models");
    let cache = job.folder.path().join("cache").display().to_string();
    let of_all = [("CAPFILT_CACHE", cache.as_str()), ("NO_PROXY", "127.0.0.1"), ("HOME", "/nowhere")];
    let variables = of_all.iter().chain(variables);
    job.env = variables.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    job.set(&["shards.rows=20"])
}

#[test]
fn an_input_and_models_of_google_s_store_give_the_bytes_of_those_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let Some(google) = google(folder.path()) else { return };
    let job = job(&[("STORAGE_EMULATOR_HOST", &format!("{}\n", google.host))]);
    assert!(stdout(&expect(&mut job.command("check"), 0)).contains(&format!("{ROWS} rows")));
    job.run();
    assert_eq!(job.verify(0)["rows"], ROWS);
    let local = Job::over(&folder.path().join("capfilt/web").display().to_string()).set(&["shards.rows=20"]);
    local.run();
    assert!(job.committed() == local.committed(), "the committed tables differ");
}

#[test]
fn each_refusal_of_google_gets_the_advice_of_google() {
    let folder = tempfile::tempdir().unwrap();
    let Some(google) = google(folder.path()) else { return };
    let host = google.host.as_str();
    let garbage = folder.path().join("garbage.json");
    std::fs::write(&garbage, "garbage").unwrap();
    let garbage = garbage.display().to_string();
    let base = format!("http://{host}");
    let elsewhere = format!("{base}/storage/v1");
    for (url, variables, code, advice) in [
        ("gs://nowhere/web/", &[("STORAGE_EMULATOR_HOST", host)][..], 3, "there is no such bucket"),
        ("gs://capfilt/web", &[("STORAGE_EMULATOR_HOST", &elsewhere)], 3, "there is no such bucket"),
        (
            "gs://capfilt/web",
            &[("STORAGE_EMULATOR_HOST", "127.0.0.1:9")],
            3,
            "is STORAGE_EMULATOR_HOST right",
        ),
        ("gs://capfilt/web", &[("GOOGLE_BASE_URL", &base)], 2, "GOOGLE_ALLOW_HTTP=true"),
        ("gs://capfilt/web", &[("GOOGLE_BASE_URL", host)], 2, "GOOGLE_BASE_URL: it is not a URL"),
        (
            "gs://capfilt/web",
            &[("GOOGLE_SERVICE_ACCOUNT", "/nowhere")],
            2,
            "GOOGLE_SERVICE_ACCOUNT: /nowhere cannot be",
        ),
        (
            "gs://capfilt/web",
            &[("GOOGLE_APPLICATION_CREDENTIALS", &garbage)],
            2,
            "its store cannot be opened",
        ),
    ] {
        let job = job(variables).set(&[&format!("input.url={url}")]);
        let output = expect(job.command("plan").args(["--calibrate", "0"]), code);
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains(advice), "{variables:?}: {said}");
        assert!(!said.contains("AWS_") && !said.contains("AZURE_"), "{variables:?}: {said}");
    }
}
