//! Going on with a job whose input is not as it was planned any more.
//!
//! The plan stays what it is: every row of it is committed or accounted for as set aside, so no row is lost and none is read
//! from a file it was not planned in. What was committed was read from the file as it was planned, and stays.

use crate::{
    input::InputChange,
    standing::{RECORDS_AT_ONCE, standing},
};
use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError};
use capfilt_schemas::{
    failure::{self, Failure, FailureClass},
    job::{JobDigest, JobRecord},
    names::{self, AttemptId},
    plan::{Shard, ShardId},
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeMap;

/// What a run does when input files were replaced, removed or added since the job was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    Refuse,
    /// Open shards of such files are set aside, with the change as the reason. Added files are no part of the job.
    SetAside,
}

/// Sets the open shards of changed files aside; a sentence for each change.
pub(crate) async fn set_aside(
    bucket: &Bucket,
    (record, job): (&JobRecord, &JobDigest),
    plan: &[Shard],
    changes: &[InputChange],
) -> Result<Vec<String>, BucketError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let standing = standing(bucket).await?;
    let by_path: BTreeMap<&str, &InputChange> = changes.iter().map(|change| (change.path(), change)).collect();
    let mut open = BTreeMap::<&str, u64>::new();
    let mut failures = Vec::new();
    for task in standing.remaining(plan, record.settings.limits.attempts) {
        if let Some(change) = by_path.get(task.shard.file.path.as_str()) {
            *open.entry(change.path()).or_default() += 1;
            failures.push(failure_of(&task.shard.id, change, job));
        }
    }
    let writes = futures::stream::iter(failures).map(|failure| async move {
        let bytes = serde_json::to_vec_pretty(&failure).expect("a failure record is plain data");
        bucket.create(&names::failure(&failure.shard, &failure.attempt), Bytes::from(bytes)).await
    });
    writes.buffer_unordered(RECORDS_AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
    let told = |change: &InputChange| match change {
        InputChange::Added(_) => format!("{change}; it is no part of this job"),
        InputChange::Removed(_) | InputChange::Replaced { .. } => {
            let open = open.get(change.path()).copied().unwrap_or(0);
            format!("{change}; {open} open shards of it are set aside, and what is committed stays")
        }
    };
    Ok(changes.iter().map(told).collect())
}

fn failure_of(shard: &ShardId, change: &InputChange, job: &JobDigest) -> Failure {
    Failure {
        version: failure::VERSION,
        shard: shard.clone(),
        attempt: AttemptId::from_random(rand::random()),
        worker: "run --allow-changed".to_owned(),
        class: FailureClass::InputChanged,
        message: format!("{change}; the job was told to go on without it"),
        crash: None,
        job: Some(job.clone()),
    }
}
