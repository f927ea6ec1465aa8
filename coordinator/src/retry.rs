//! `capfilt retry`: writes a create-only retry record, which the job state then includes.
//!
//! The record forgives failures and names the commits to create. Every process of the job reads the record,
//! so a retry is safe while workers run; a retry that is killed is resumed by running the job again.

use crate::{
    job::{self, JobError},
    state::{JobState, ShardState, commits},
};
use capfilt_schemas::{
    failure::FailureClass,
    job::JobDigest,
    object_keys::{self, AttemptId},
    plan::{Shard, ShardId},
    retry::{Repair, Retry, ShardRepair, VERSION},
    settings::Limits,
    status::RowStatus,
};
use capfilt_store::{Location, PutOutcome, StoreError};
use futures::TryStreamExt as _;
use std::{collections::BTreeMap, pin::pin};

/// Statuses and failure classes that a retry selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryFilter {
    /// Statuses of rows.
    pub statuses: Vec<RowStatus>,
    /// Classes of failures.
    pub classes: Vec<FailureClass>,
}

impl RetryFilter {
    /// Selects all quarantined rows and shards.
    pub fn everything() -> Self {
        let statuses = RowStatus::ALL.iter().copied().filter(|status| status.is_quarantined()).collect();
        Self { statuses, classes: FailureClass::ALL.to_vec() }
    }

    /// Selects statuses of rows and failure classes of shards, by their names.
    ///
    /// # Errors
    /// A sentence that lists the valid names.
    pub fn only(names: &[String]) -> Result<Self, String> {
        let all = Self::everything();
        let mut wanted = Self { statuses: Vec::new(), classes: Vec::new() };
        for name in names {
            let status = RowStatus::parse(name).filter(|status| all.statuses.contains(status));
            let class = FailureClass::parse(name);
            if status.is_none() && class.is_none() {
                let statuses = all.statuses.iter().map(|status| status.as_str());
                let known: Vec<_> = statuses.chain(all.classes.iter().map(|class| class.as_str())).collect();
                return Err(format!(
                    "`{name}` is not a failure status or class; the names are {}",
                    known.join(", ")
                ));
            }
            wanted.statuses.extend(status);
            wanted.classes.extend(class);
        }
        Ok(wanted)
    }
}

/// Shards and rows that a retry will execute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryPlan {
    /// Number of quarantined shards; `shard_rows` is the number of their rows.
    pub shards: u64,
    /// Rows of the quarantined shards.
    pub shard_rows: u64,
    /// Number of quarantined rows of committed shards, by status.
    pub rows: BTreeMap<RowStatus, u64>,
    forgiven: Vec<AttemptId>,
    repairs: Vec<ShardRepair>,
    job: Option<JobDigest>,
}

impl RetryPlan {
    /// The shards and rows as lines for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.is_empty() {
            lines.push("no quarantined row or shard matches; nothing to retry".to_owned());
        }
        if self.shards > 0 {
            let Self { shards, shard_rows, .. } = self;
            lines.push(format!("to retry: {shards} quarantined shards with {shard_rows} rows"));
        }
        let rows = self.rows.iter();
        lines.extend(rows.map(|(status, rows)| format!("to retry: {rows} rows with status {status}")));
        lines
    }

    /// Whether nothing is left to execute again.
    pub fn is_empty(&self) -> bool {
        self.repairs.is_empty()
    }
}

/// Finds the failures that `wanted` selects. Shards that an earlier retry has opened are open and not found
/// again.
///
/// # Errors
/// A missing job, and a failing store.
pub async fn find(bucket: &Location, wanted: &RetryFilter) -> Result<RetryPlan, JobError> {
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
        bucket: &Location,
        plan: &[Shard],
        job_state: &JobState,
        attempts: u32,
        wanted: &RetryFilter,
    ) -> Result<(), StoreError> {
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

    /// Writes the retry record. From then on, every process of the job executes the retry.
    ///
    /// # Errors
    /// A failing store.
    pub async fn record(
        self,
        bucket: &Location,
        wanted: &RetryFilter,
        limits: Limits,
    ) -> Result<Retry, StoreError> {
        let repair = Repair { statuses: wanted.statuses.clone(), limits };
        let Self { forgiven, repairs, job, .. } = self;
        let mut retry = Retry { version: VERSION, n: 0, forgiven, repairs, repair, job };
        loop {
            match bucket.create_record(&object_keys::retry(retry.n), &retry).await? {
                PutOutcome::Created => return Ok(retry),
                // A job has few retries, so the loop ends soon.
                PutOutcome::Exists(_) => retry.n += 1,
            }
        }
    }
}
