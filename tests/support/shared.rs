//! The job that machines share in the tests, and what must hold of it at the end.

use super::{Committed, Job, repo, small::first_rows};
use std::sync::LazyLock;

/// Shards of twenty rows.
pub const SHARDS: usize = 24;

/// A job over some rows of the three files of `tests/data/web`.
pub fn shared_job() -> Job {
    job_of(SHARDS, 20)
}

/// A job of `shards` shards with `rows` rows each; a third of the shards comes from each file of
/// `tests/data/web`.
pub fn job_of(shards: usize, rows: usize) -> Job {
    let folder = tempfile::tempdir().unwrap();
    let (web, objects) = (folder.path().join("web"), folder.path().join("job"));
    std::fs::create_dir(&web).unwrap();
    for file in ["web-00000.parquet", "web-00001.parquet", "web-00002.parquet"] {
        first_rows(file, rows * shards / 3, rows, &web.join(file));
    }
    let [url, input, models] =
        [&objects, &web, &repo().join("tests/data/models")].map(|path| path.display().to_string());
    Job::at(folder, url, objects, &input, &models).set(&[&format!("shards.rows={rows}")])
}

/// Result of one machine alone.
fn undisturbed() -> &'static Committed {
    static UNDISTURBED: LazyLock<Committed> = LazyLock::new(|| {
        let job = shared_job();
        job.run();
        job.committed()
    });
    &UNDISTURBED
}

/// Every row once, and the bytes of an undisturbed run.
pub fn assert_whole(job: &Job) {
    assert_eq!(job.verify(0)["rows"], 20 * SHARDS);
    assert!(job.committed() == *undisturbed(), "the committed tables differ");
}
