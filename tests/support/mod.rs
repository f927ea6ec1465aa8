//! Shared parts of the whole-program tests: the real binary, a job over `tests/data`, its committed bytes.

pub mod azurite;
pub mod book;
#[path = "../../pipeline/endpoint/tests/support/mod.rs"]
pub mod endpoint;
pub mod exports;
pub mod fleet;
pub mod google;
pub mod kills;
pub mod nats;
pub mod nats_cluster;
pub mod page;
pub mod process;
pub mod s3;
pub mod shared;
pub mod small;
pub mod sources;
pub mod tables;
pub mod terminal;
pub mod tools;
pub mod training;
#[path = "../../pipeline/links/tests/support/web.rs"]
pub mod web;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

pub fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The binary under test, without the store variables of the user who runs the tests.
pub fn capfilt() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capfilt"));
    // Tests run side by side, each with workers of several threads: a waiting thread must not take
    // the cores from other tests.
    command.env("GOMP_SPINCOUNT", "100");
    let of_clouds =
        ["AWS_", "AZURE_", "AZURITE_", "GOOGLE_", "STORAGE_EMULATOR_HOST", "HF_", "HUGGING_FACE_"];
    let is_cloud_s = |key: &str| of_clouds.iter().any(|start| key.starts_with(start));
    let keys = std::env::vars_os().map(|(key, _)| key).filter(|key| key.to_str().is_some_and(is_cloud_s));
    keys.for_each(|key| {
        command.env_remove(key);
    });
    // Nor their profiles, nor their login at the Hub.
    command.env("HF_HOME", "/dev/null");
    command.envs(["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"].map(|variable| (variable, "/dev/null")));
    command
}

/// The Python that `make setup` provides.
pub fn python(script: &str) -> Command {
    let python = repo().join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make setup`", python.display());
    let mut command = Command::new(python);
    command.arg(repo().join(script));
    command
}

/// Runs to the end; shows everything when the exit code is another than expected.
pub fn expect(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{command:?}\n--- stdout\n{}\n--- stderr\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Bytes of committed tables, by input file, first row and table.
pub type Committed = BTreeMap<(String, u64, String), Vec<u8>>;

/// A job's settings in a separate folder.
pub struct Job {
    pub folder: tempfile::TempDir,
    pub url: String,
    /// The folder in which the job's objects lie as files.
    pub objects: PathBuf,
    pub overrides: Vec<String>,
    /// Of all commands about this job.
    pub env: Vec<(String, String)>,
}

impl Job {
    /// A job with the tests' models over an input.
    pub fn over(input: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("job");
        let url = objects.display().to_string();
        Self::at(folder, url, objects, input, &repo().join("tests/data/models").display().to_string())
    }

    /// A job at any URL, over an input, with the models of a folder or prefix.
    pub fn at(folder: tempfile::TempDir, url: String, objects: PathBuf, input: &str, models: &str) -> Self {
        let settings = format!(
            "[job]\nurl = \"{url}\"\n[input]\nurl = \"{input}\"\n[models]\n\
             captioner = \"{models}/captioner\"\nfilter = \"{models}/filter\"\n\
             precision = \"f32\"\n[captioner]\nmax_length = 30\n[workers]\ndevices = [\"cpu\"]\n\
             batch = 16\nmodel_threads = 1\ndecode_threads = 1\n"
        );
        std::fs::write(folder.path().join("job.toml"), settings).unwrap();
        Self { folder, url, objects, overrides: Vec::new(), env: Vec::new() }
    }

    /// A job over one of the files of `tests/data/web`: 800 rows in row groups of 200.
    pub fn over_one_file() -> Self {
        Self::over(&repo().join("tests/data/web/web-00000.parquet").display().to_string())
    }

    /// A job over the three files of `tests/data/web`: 2,400 rows in row groups of 200.
    pub fn over_web() -> Self {
        Self::over(&repo().join("tests/data/web").display().to_string())
    }

    pub fn set(mut self, overrides: &[&str]) -> Self {
        self.overrides.extend(overrides.iter().map(|entry| (*entry).to_owned()));
        self
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("job.toml")
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = capfilt();
        command.arg(name).arg("-c").arg(self.config()).envs(self.env.clone());
        self.overrides.iter().for_each(|entry| {
            command.args(["-s", entry]);
        });
        command
    }

    pub fn run(&self) -> Output {
        expect(&mut self.command("run"), 0)
    }

    /// A command that takes no settings, only the job's URL.
    pub fn command_by_url(&self, name: &str) -> Command {
        let mut command = capfilt();
        command.args([name, "--job", &self.url]).envs(self.env.clone());
        command
    }

    pub fn verify(&self, code: i32) -> serde_json::Value {
        let output = expect(self.command_by_url("verify").arg("--json"), code);
        serde_json::from_str(&stdout(&output)).unwrap()
    }

    /// Every committed table, so that jobs in different places compare.
    pub fn committed(&self) -> Committed {
        let mut tables = Committed::new();
        for shard in std::fs::read_dir(self.objects.join("commits")).unwrap() {
            let shard = shard.unwrap().path();
            let commit: serde_json::Value =
                serde_json::from_slice(&std::fs::read(shard.join("0.json")).unwrap()).unwrap();
            let outputs: Vec<(String, PathBuf)> =
                commit["outputs"].as_array().unwrap().iter().map(table_and_path).collect();
            let ledger = self.objects.join(&outputs.iter().find(|(table, _)| table == "ledger").unwrap().1);
            let (file, row) = first_address(&ledger);
            for (table, path) in outputs {
                tables.insert((file.clone(), row, table), std::fs::read(self.objects.join(path)).unwrap());
            }
        }
        tables
    }
}

fn table_and_path(output: &serde_json::Value) -> (String, PathBuf) {
    (output["table"].as_str().unwrap().to_owned(), output["path"].as_str().unwrap().into())
}

/// Address of a ledger's first row.
pub fn first_address(ledger: &Path) -> (String, u64) {
    use arrow::array::AsArray as _;
    let file = std::fs::File::open(ledger).unwrap();
    let mut reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    let batch = reader.next().unwrap().unwrap();
    let row = batch.column_by_name("row").unwrap().as_primitive::<arrow::datatypes::UInt64Type>().value(0);
    (batch.column_by_name("file").unwrap().as_string::<i32>().value(0).to_owned(), row)
}
