//! Azure's stores, at a real Azurite.

use crate::support::{
    Job,
    azurite::{ACCOUNT, Azurite, KEY},
    expect,
    process::Process,
    repo,
    small::first_rows,
    stderr, stdout,
};
use std::path::PathBuf;

/// Rows of a job's one file, in groups and shards of twenty.
const ROWS: usize = 80;

fn input(job: &Job) -> PathBuf {
    let input = job.folder.path().join("a.parquet");
    first_rows("web-00000.parquet", ROWS, 20, &input);
    input
}

/// A job whose place, input and models all lie in the container; they are put there.
fn job(azurite: &Azurite) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("job");
    let mut job =
        Job::at(folder, "az://capfilt/jobs/one".into(), objects, "az://capfilt/web", "az://capfilt/models");
    let input = input(&job);
    let mut files = vec![("web/a.parquet".to_owned(), input)];
    for model in ["captioner", "filter"] {
        let entries = std::fs::read_dir(repo().join("tests/data/models").join(model)).unwrap();
        let entries = entries.map(|entry| entry.unwrap());
        files.extend(
            entries
                .map(|file| (format!("models/{model}/{}", file.file_name().to_str().unwrap()), file.path())),
        );
    }
    azurite.put(&files.iter().map(|(name, file)| (name.as_str(), Some(file.as_path()))).collect::<Vec<_>>());
    job.env = vec![
        ("CAPFILT_CACHE".to_owned(), job.folder.path().join("cache").display().to_string()),
        ("NO_PROXY".to_owned(), "127.0.0.1".to_owned()),
    ];
    job.set(&["shards.rows=20"])
}

fn with(mut job: Job, variables: &[(&str, &str)]) -> Job {
    job.env.extend(variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    job
}

/// Output of `plan` for an input.
fn plan(job: &Job, code: i32) -> String {
    let output = expect(job.command("plan").args(["--calibrate", "0"]), code);
    stdout(&output) + &stderr(&output)
}

#[test]
fn a_job_killed_in_an_azure_container_has_the_bytes_of_one_in_a_folder() {
    let Some(azurite) = Azurite::start() else { return };
    let string = azurite.connection_string();
    let job =
        with(job(&azurite), &[("AZURE_STORAGE_CONNECTION_STRING", &string), ("AZURE_ALLOW_HTTP", "true")]);
    assert!(stdout(&expect(&mut job.command("check"), 0)).contains("create only once: works"));
    let mut killed = Process::start(&job, "killed", &mut job.command("run"));
    killed.wait_for("is ready");
    drop(killed);
    job.run();
    assert_eq!(job.verify(0)["rows"], ROWS);
    let removed = stdout(&expect(job.command_by_url("gc").arg("--delete"), 0));
    assert!(removed.contains("removed"), "{removed}");
    assert_eq!(job.verify(0)["rows"], ROWS);
    azurite.bring(&job);
    let local = Job::over(&input(&job).display().to_string()).set(&["shards.rows=20"]);
    local.run();
    assert!(job.committed() == local.committed(), "the committed tables differ");
}

#[test]
fn each_refusal_of_azure_gets_the_advice_of_azure() {
    let Some(azurite) = Azurite::start() else { return };
    let account = azurite.endpoint.trim_end_matches(ACCOUNT).to_owned() + "unknown";
    let (old, blind) = (azurite.signature("rl", "2020-01-01"), azurite.signature("rwac", "2999-01-01"));
    let (sas, key) = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY");
    for (variables, code, advice) in [
        (&[(key, "a2V5a2V5")][..], 3, "the store refuses the credentials"),
        (&[(key, "no key")], 2, "AZURE_STORAGE_KEY: the key of an account is base64"),
        (&[(sas, &old)], 3, "AZURE_STORAGE_SAS_TOKEN ended at 2020-01-01"),
        (&[(sas, &blind)], 3, "they do not allow this"),
        (&[("AZURE_SKIP_SIGNATURE", "true")], 3, "without credentials (AZURE_SKIP_SIGNATURE)"),
        (&[(key, KEY), ("AZURE_STORAGE_ENDPOINT", &account)], 3, "no such container in this storage account"),
        (
            &[(key, KEY), ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9/x")],
            3,
            "is AZURE_STORAGE_ENDPOINT right",
        ),
        (
            &[(key, KEY), ("AZURE_STORAGE_ENDPOINT", "127.0.0.1")],
            2,
            "AZURE_STORAGE_ENDPOINT: it is not a URL",
        ),
        (&[(key, KEY), ("AZURE_ALLOW_HTTP", "false")], 2, "AZURE_ALLOW_HTTP=true"),
        (&[("AZURE_MSI_ENDPOINT", "http://127.0.0.1:9/msi/token")], 3, "the environment has no credentials"),
        (
            &[("AZURE_FEDERATED_TOKEN_FILE", "/nowhere")],
            2,
            "AZURE_FEDERATED_TOKEN_FILE: /nowhere cannot be read",
        ),
        (
            &[("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", "x")],
            2,
            "AZURITE_BLOB_STORAGE_URL",
        ),
    ] {
        let mut job = Job::over("az://capfilt/web");
        let endpoint = ("AZURE_STORAGE_ENDPOINT", azurite.endpoint.as_str());
        // The emulator's own address must not lose to another.
        let base = [
            ("NO_PROXY", "127.0.0.1"),
            ("AZURE_STORAGE_ACCOUNT", ACCOUNT),
            ("AZURE_ALLOW_HTTP", "true"),
            endpoint,
        ];
        let is_emulator = variables.iter().any(|(name, _)| *name == "AZURITE_BLOB_STORAGE_URL");
        job = with(job, if is_emulator { &base[..3] } else { &base });
        let said = plan(&with(job, variables), code);
        assert!(said.contains(advice) && !said.contains("AWS_"), "{variables:?}: {said}");
    }
}

#[test]
fn the_emulator_and_a_signed_connection_string_reach_a_container_whatever_blanks_are_around_them() {
    let Some(azurite) = Azurite::start() else { return };
    let job = job(&azurite);
    let rows = format!("rows    {ROWS}");
    let at = format!("{}\n", azurite.endpoint.trim_end_matches(ACCOUNT));
    let emulator = with(Job::over("az://capfilt/web"), &[("AZURE_STORAGE_USE_EMULATOR", "true")]);
    let emulator = with(emulator, &[("NO_PROXY", "127.0.0.1"), ("AZURITE_BLOB_STORAGE_URL", &at)]);
    assert!(plan(&emulator, 0).contains(&rows));
    let signature = azurite.signature("rl", "2999-01-01");
    let string = format!(" BlobEndpoint={};SharedAccessSignature={signature}\n", azurite.endpoint);
    let variables = [("AZURE_STORAGE_CONNECTION_STRING", string.as_str()), ("AZURE_ALLOW_HTTP", "true\n")];
    assert!(plan(&with(job, &variables), 0).contains(&rows));
}

#[test]
fn a_blob_that_stands_for_a_folder_is_no_file_and_does_not_harm_a_job() {
    let Some(azurite) = Azurite::start() else { return };
    let job = job(&azurite);
    let file = job.folder.path().join("a.parquet");
    let file = Some(file.as_path());
    let markers = ["odd", "odd/train.parquet", "odd/empty.parquet", "jobs", "jobs/one", "jobs/one/probes"];
    azurite.put(&markers.map(|name| (name, None)));
    azurite.put(&[("odd/train.parquet/b.parquet", file), ("odd/a.parquet", file), ("odd/x//y.txt", file)]);
    let string = azurite.connection_string();
    let job = with(job, &[("AZURE_STORAGE_CONNECTION_STRING", &string), ("AZURE_ALLOW_HTTP", "true")]);
    let job = job.set(&["input.url=az://capfilt/odd"]);
    let said = plan(&job, 0);
    assert!(said.contains("files   2\n") && said.contains("x//y.txt") && !said.contains("refused"), "{said}");
    assert!(stdout(&expect(&mut job.command("check"), 0)).contains("delete: works"));
}
