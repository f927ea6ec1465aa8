//! Sources of exports that several tests share, and what an export leaves.

use super::{Job, capfilt, expect, python, small::first_rows, stdout};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// A finished job, and pairs that people wrote.
pub struct Sources {
    pub job: Job,
    pub human: PathBuf,
}

/// A job over 240 rows of the demo's web, and 300 pairs.
pub fn sources() -> &'static Sources {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let web = folder.join("web");
        fs::create_dir(&web).unwrap();
        first_rows("web-00000.parquet", 240, 60, &web.join("web.parquet"));
        let job = Job::over(web.to_str().unwrap()).set(&["shards.rows=60"]);
        job.run();
        let human = folder.join("human");
        let made = ["--kind", "human", "--scenes", "150", "--captions-per-scene", "2", "--side", "48"];
        expect(capfilt().args(["demo", "--make-data"]).arg(&human).args(made), 0);
        Sources { job, human }
    });
    &SOURCES
}

/// Images in six formats: a job over 60 rows that keeps all of their texts, two of each image, and 90 human
/// pairs, two of each image.
pub fn six_formats() -> &'static Sources {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        expect(python("tests/export.py").arg("make").arg(&folder), 0);
        let job = six_formats_job(&folder.join("web"), &[]);
        job.run();
        Sources { job, human: folder.join("human") }
    });
    &SOURCES
}

/// A job over the six formats' web rows that keeps everything.
pub fn six_formats_job(web: &Path, settings: &[&str]) -> Job {
    let all = ["filter.web_threshold=0.0", "filter.synthetic_threshold=0.0", "shards.rows=20"];
    let passed = "input.passthrough=[\"url\", \"licence\", \"likes\", \"share\", \"seen\"]";
    Job::over(web.to_str().unwrap()).set(&all).set(&[passed]).set(settings)
}

/// An export of both sources, with the record as its output.
pub fn export(sources: &Sources, format: &str, to: &Path) -> Command {
    let mut command = capfilt();
    command.args(["export", "--job", &sources.job.url, "--format", format, "--json", "--to"]).arg(to);
    command.arg("--human").arg(&sources.human);
    command
}

/// The record of a finished export.
pub fn record(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(&expect(command, 0))).unwrap()
}

/// Samples of a WebDataset export in their order: number, text, record, digest of the image, types of the
/// record.
pub fn samples(to: &Path) -> Vec<Value> {
    let read = stdout(&expect(python("tests/export.py").arg("samples").arg(to), 0));
    serde_json::from_str(&read).unwrap()
}

/// A count of a record.
pub fn count(record: &Value, name: &str) -> u64 {
    record["counts"][name].as_u64().unwrap_or_else(|| panic!("{name}: {record}"))
}

/// All files below a folder with their bytes.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}
