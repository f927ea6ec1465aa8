//! A job's status, from the bucket alone: whoever can read the bucket can tell.

use crate::{
    JobError, commits, job, manifest,
    standing::{ShardState, standing},
};
use capfilt_bucket::Bucket;
use capfilt_schemas::{failure::FailureClass, names, plan::RefusedFile, status::RowStatus, tally::Tally};
use futures::TryStreamExt as _;
use serde::Serialize;
use std::{collections::BTreeMap, pin::pin};

/// What `capfilt status` says, and prints with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    pub shards: States,
    pub rows: States,
    /// Committed rows by what became of them.
    pub rows_by_status: BTreeMap<RowStatus, u64>,
    pub kept: Kept,
    /// Failed attempts so far, of shards that succeeded later too.
    pub failures: BTreeMap<FailureClass, u64>,
    /// Input files that gave no shard.
    pub refused: Vec<RefusedFile>,
    /// Whether every shard is committed or quarantined and a manifest says so.
    pub done: bool,
    /// URL of the newest manifest.
    pub manifest: Option<String>,
}

/// Shards, or rows of shards, by state; `planned` is the sum of the next three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct States {
    pub planned: u64,
    pub committed: u64,
    pub quarantined: u64,
    pub open: u64,
    /// Of the committed: what a retry does again.
    pub repairing: u64,
}

/// What the committed shards keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub web: u64,
    pub synthetic: u64,
    pub pairs: u64,
}

/// Reads a job's status.
///
/// # Errors
/// When there is no job, its plan is damaged, or the store fails.
pub async fn status(bucket: &Bucket) -> Result<Status, JobError> {
    let (record, plan) = job::load(bucket).await?;
    let standing = standing(bucket).await?;
    let (mut shards, mut rows) = (States::default(), States::default());
    for shard in &plan {
        let state = standing.of(&shard.id, record.settings.limits.attempts);
        shards.add(state, 1);
        rows.add(state, shard.rows);
    }
    let mut tally = Tally::default();
    let mut counted = pin!(commits::counted(bucket, &plan, &standing));
    while let Some(one) = counted.try_next().await? {
        tally.merge(&one.commit.tally);
    }
    let mut failures = BTreeMap::new();
    standing.failures.values().flatten().for_each(|failure| *failures.entry(failure.class).or_default() += 1);
    let manifest = manifest::newest(bucket).await?.map(|manifest| bucket.place.url_of(&names::manifest(manifest.n)));
    Ok(Status {
        shards,
        rows,
        kept: Kept { web: tally.web_kept, synthetic: tally.synthetic_kept, pairs: tally.pairs },
        rows_by_status: tally.rows,
        failures,
        refused: record.plan.refused,
        done: shards.open == 0 && shards.repairing == 0 && manifest.is_some(),
        manifest,
    })
}

impl States {
    fn add(&mut self, state: ShardState<'_>, n: u64) {
        self.planned += n;
        self.repairing += if matches!(state, ShardState::Repairing(_)) { n } else { 0 };
        *match state {
            ShardState::Committed(_) | ShardState::Repairing(_) => &mut self.committed,
            ShardState::Quarantined(_) => &mut self.quarantined,
            ShardState::Open => &mut self.open,
        } += n;
    }
}
