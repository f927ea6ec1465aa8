//! Resumes a job whose input files changed after the plan.
//!
//! The plan does not change: every planned row is committed or quarantined, so no row is lost, and no row is
//! read from a file in another state than the planned one. Committed rows come from the planned states, and
//! their commits stay valid.

use super::JobState;
use crate::plan::InputChange;
use capfilt_schemas::{
    failure::{self, Failure, FailureClass},
    job::{JobDigest, JobRecord},
    object_keys::{self, AttemptId},
    plan::{Shard, ShardId},
};
use capfilt_store::{Location, RECORDS_AT_ONCE, StoreError};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeMap;

/// Policy of `run` for input files that were replaced, removed or added after the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInputChange {
    /// Changed files are an error.
    Refuse,
    /// Quarantines the open shards of such files, with the change as the reason. Added files do not join the
    /// job.
    SetAside,
}

/// Quarantines the open shards of changed files. Returns a sentence for each change.
pub(crate) async fn set_open_shards_aside(
    bucket: &Location,
    (record, job): (&JobRecord, &JobDigest),
    plan: &[Shard],
    changes: &[InputChange],
) -> Result<Vec<String>, StoreError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let job_state = JobState::read(bucket).await?;
    let by_path: BTreeMap<&str, &InputChange> =
        changes.iter().map(|change| (change.path(), change)).collect();
    let mut open = BTreeMap::<&str, u64>::new();
    let mut failures = Vec::new();
    for task in job_state.remaining(plan, record.settings.limits.attempts) {
        if let Some(change) = by_path.get(task.shard.file.path.as_str()) {
            *open.entry(change.path()).or_default() += 1;
            failures.push(failure_of(&task.shard.id, change, job));
        }
    }
    let writes = futures::stream::iter(failures).map(|failure| async move {
        bucket.create_record(&object_keys::failure(&failure.shard, &failure.attempt), &failure).await
    });
    writes.buffer_unordered(RECORDS_AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
    let sentence = |change: &InputChange| match change {
        InputChange::Added(_) => format!("{change}; it is not part of this job"),
        InputChange::Removed(_) | InputChange::Replaced { .. } => {
            let open = open.get(change.path()).copied().unwrap_or(0);
            format!("{change}; {open} open shards of it are quarantined, and its commits stay valid")
        }
    };
    Ok(changes.iter().map(sentence).collect())
}

fn failure_of(shard: &ShardId, change: &InputChange, job: &JobDigest) -> Failure {
    Failure {
        version: failure::VERSION,
        shard: shard.clone(),
        attempt: AttemptId::from_random(rand::random()),
        worker: "run --allow-changed".to_owned(),
        class: FailureClass::InputChanged,
        message: format!("{change}; `--allow-changed` quarantined its open shards"),
        crash: None,
        job: Some(job.clone()),
    }
}
