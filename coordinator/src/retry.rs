//! Retrying what failed: a record of the wish, which the job_state of the job then takes into account.
//!
//! The record forgives failures and names the commits to create; everyone who works on the job reads it, so
//! it is safe while workers run, and a retry that is killed is resumed by running the job again.

use crate::{
    job::{self, JobError},
    state::{JobState, ShardState, commits},
};
use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError, Creation};
use capfilt_schemas::{
    failure::FailureClass,
    job::JobDigest,
    names::{self, AttemptId},
    plan::{Shard, ShardId},
    retry::{Repair, Retry, ShardRepair, VERSION},
    settings::Limits,
    status::RowStatus,
};
use futures::TryStreamExt as _;
use std::{collections::BTreeMap, pin::pin};

/// What a retry should take up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryFilter {
    pub statuses: Vec<RowStatus>,
    pub classes: Vec<FailureClass>,
}

impl RetryFilter {
    /// All quarantined rows and shards.
    pub fn everything() -> Self {
        let statuses = RowStatus::ALL.iter().copied().filter(|status| status.is_quarantined()).collect();
        Self { statuses, classes: FailureClass::ALL.to_vec() }
    }

    /// Statuses of rows and failure classes of shards, by their names.
    ///
    /// # Errors
    /// A sentence that lists the names there are.
    pub fn only(names: &[String]) -> Result<Self, String> {
        let all = Self::everything();
        let mut wanted = Self { statuses: Vec::new(), classes: Vec::new() };
        for name in names {
            let status = RowStatus::parse(name).filter(|status| all.statuses.contains(status));
            let class = FailureClass::parse(name);
            if status.is_none() && class.is_none() {
                let statuses = all.statuses.iter().map(|status| status.as_str());
                let known: Vec<_> = statuses.chain(all.classes.iter().map(|class| class.as_str())).collect();
                return Err(format!("nothing can fail as `{name}`; there are {}", known.join(", ")));
            }
            wanted.statuses.extend(status);
            wanted.classes.extend(class);
        }
        Ok(wanted)
    }
}

/// What a retry would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryPlan {
    /// Quarantined shards, and their rows.
    pub shards: u64,
    pub shard_rows: u64,
    /// Quarantined rows of committed shards, by status.
    pub rows: BTreeMap<RowStatus, u64>,
    forgiven: Vec<AttemptId>,
    repairs: Vec<ShardRepair>,
    job: Option<JobDigest>,
}

impl RetryPlan {
    pub fn is_empty(&self) -> bool {
        self.repairs.is_empty()
    }
}

/// Looks for what failed as wanted. What an earlier retry has opened already is open anyway and not found
/// again.
///
/// # Errors
/// When there is no job, or the store fails.
pub async fn find(bucket: &Bucket, wanted: &RetryFilter) -> Result<RetryPlan, JobError> {
    let (record, plan) = job::load(bucket).await?;
    let job_state = JobState::read(bucket).await?;
    let mut found = RetryPlan { job: job_state.job.clone(), ..RetryPlan::default() };
    for shard in &plan {
        if let ShardState::Quarantined(why) = job_state.of(&shard.id, record.settings.limits.attempts)
            && wanted.classes.contains(&why.class)
        {
            found.shards += 1;
            found.shard_rows += shard.rows;
            found.take(&job_state, &shard.id, 0);
        }
    }
    found.rows_of_committed(bucket, &plan, &job_state, record.settings.limits.attempts, wanted).await?;
    Ok(found)
}

impl RetryPlan {
    async fn rows_of_committed(
        &mut self,
        bucket: &Bucket,
        plan: &[Shard],
        job_state: &JobState,
        attempts: u32,
        wanted: &RetryFilter,
    ) -> Result<(), BucketError> {
        let mut counted = pin!(commits::read_all(bucket, plan, &job_state.committed, job_state.job.as_ref()));
        while let Some(one) = counted.try_next().await? {
            let is_settled = job_state.of(&one.commit.shard, attempts) == ShardState::Committed(one.n);
            let rows = wanted.statuses.iter().map(|status| (*status, one.commit.tally.count(*status)));
            let rows: Vec<_> = rows.filter(|(_, rows)| *rows > 0 && is_settled).collect();
            if !rows.is_empty() {
                self.take(job_state, &one.commit.shard, one.n.saturating_add(1));
            }
            rows.into_iter().for_each(|(status, rows)| *self.rows.entry(status).or_default() += rows);
        }
        Ok(())
    }

    fn take(&mut self, job_state: &JobState, shard: &ShardId, commit_n: u32) {
        self.repairs.push(ShardRepair { shard: shard.clone(), commit_n });
        let failures = job_state.failures.get(shard).into_iter().flatten();
        self.forgiven.extend(failures.map(|failure| failure.attempt.clone()));
    }

    /// Writes the wish down; from then on, whoever works on the job does it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record(
        self,
        bucket: &Bucket,
        wanted: &RetryFilter,
        limits: Limits,
    ) -> Result<Retry, BucketError> {
        let repair = Repair { statuses: wanted.statuses.clone(), limits };
        let Self { forgiven, repairs, job, .. } = self;
        let mut retry = Retry { version: VERSION, n: 0, forgiven, repairs, repair, job };
        loop {
            let bytes = serde_json::to_vec_pretty(&retry).expect("a retry is plain data");
            match bucket.create(&names::retry(retry.n), Bytes::from(bytes)).await? {
                Creation::Created => return Ok(retry),
                // Retries of a job are counted on the fingers, so this ends soon.
                Creation::Exists(_) => retry.n += 1,
            }
        }
    }
}
