//! State of a job's shards, derived from the bucket alone: committed, failed or open.

use super::{FailedAttempt, Failures, Retries, Task, commits, failures, job_record, poison_rows, retries};
use capfilt_schemas::{
    failure::Failure,
    job::JobDigest,
    object_keys::{self, AttemptId},
    plan::{Shard, ShardId},
};
use capfilt_store::{CommitIndex, Location, StoreError, list_commits};
use std::collections::HashMap;

/// Number of failed attempts that are known as the newest ones.
const NEWEST: usize = 5;

/// State of a job's shards in the bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobState {
    /// The current commit of each committed shard.
    pub committed: CommitIndex,
    /// Failed attempts of each shard, oldest first, including shards that were committed later.
    pub failures: Failures,
    /// The newest failed attempts, newest first; at most `NEWEST`.
    pub newest_failures: Vec<AttemptId>,
    /// Retry records of the job.
    pub retries: Retries,
    /// Digest of `job.json`; `None` without a job.
    pub job: Option<JobDigest>,
}

/// The state of one shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ShardState<'a> {
    /// Commit `n` is the shard's result.
    Committed(u32),
    /// Commit `n` is the shard's result until a retry has repaired it.
    Repairing(u32),
    /// The shard failed for good; the failure is the last counted one.
    Quarantined(&'a Failure),
    /// The shard has no result yet.
    Open,
}

impl JobState {
    /// Reads the state of a job: one listing each of commits, failures and retries, all failure and retry
    /// records, and a few commits.
    ///
    /// # Errors
    /// A failing store, and a commit of another job among those read.
    pub async fn read(bucket: &Location) -> Result<Self, StoreError> {
        Self::read_since(bucket, &Self::default()).await
    }

    /// Reads the state again. A record never changes, so the failures in `before` are not read again.
    pub(crate) async fn read_since(bucket: &Location, before: &Self) -> Result<Self, StoreError> {
        let state = Self::read_unchecked(bucket, before).await?;
        commits::require_own(bucket, &state.committed, state.job.as_ref()).await?;
        Ok(state)
    }

    /// Reads the state without reading a commit, for callers that read every commit.
    pub(crate) async fn read_unchecked(bucket: &Location, before: &Self) -> Result<Self, StoreError> {
        Self::gather(list_commits(bucket, object_keys::COMMITS), bucket, object_keys::FAILURES, before).await
    }

    /// Reads the state for commits that are listed already.
    pub(crate) async fn read_with_commits(
        bucket: &Location,
        committed: CommitIndex,
        before: &Self,
    ) -> Result<Self, StoreError> {
        Self::gather(async { Ok(committed) }, bucket, object_keys::FAILURES, before).await
    }

    /// Reads the state of one shard.
    ///
    /// # Errors
    /// A failing store.
    pub async fn read_shard(bucket: &Location, shard: &ShardId) -> Result<Self, StoreError> {
        let [commits, failures] =
            [object_keys::COMMITS, object_keys::FAILURES].map(|folder| format!("{folder}/{shard}"));
        Self::gather(list_commits(bucket, &commits), bucket, &failures, &Self::default()).await
    }

    async fn gather(
        commits: impl Future<Output = Result<CommitIndex, StoreError>>,
        bucket: &Location,
        failures_prefix: &str,
        before: &Self,
    ) -> Result<Self, StoreError> {
        let known: HashMap<&AttemptId, &Failure> =
            before.failures.values().flatten().map(|failure| (&failure.attempt, failure)).collect();
        let job = async {
            match &before.job {
                Some(job) => Ok(Some(job.clone())),
                None => job_record::digest(bucket).await,
            }
        };
        let (committed, listed, job) =
            tokio::try_join!(commits, failures::list(bucket, failures_prefix), job)?;
        let newest_failures = listed.iter().rev().take(NEWEST).map(|(_, attempt)| attempt.clone()).collect();
        let failures = failures::read(bucket, &listed, &known, job.as_ref());
        let (failures, retries) = tokio::try_join!(failures, retries::read(bucket, job.as_ref()))?;
        Ok(Self { committed, failures, newest_failures, retries, job })
    }

    /// State of one shard under `limits.attempts`.
    pub fn of(&self, shard: &ShardId, attempts: u32) -> ShardState<'_> {
        let spent = self.spent(shard, attempts);
        match (self.committed.get(shard), spent) {
            (Some(n), None) if self.retries.repair(shard, n.saturating_add(1)).is_some() => {
                ShardState::Repairing(*n)
            }
            // A repair that failed for good leaves the earlier result.
            (Some(n), _) => ShardState::Committed(*n),
            (None, Some(why)) => ShardState::Quarantined(why),
            (None, None) => ShardState::Open,
        }
    }

    /// Whether a shard's result cannot change, unless a retry is recorded from now on. (A repair whose
    /// attempts are used up may still have a running attempt.)
    pub fn is_settled(&self, shard: &ShardId) -> bool {
        self.committed.get(shard).is_some_and(|n| self.retries.repair(shard, n.saturating_add(1)).is_none())
    }

    /// The failure after which no further attempt follows.
    fn spent(&self, shard: &ShardId, attempts: u32) -> Option<&Failure> {
        let counted: Vec<&Failure> = self.counted(shard).collect();
        let is_spent = || poison_rows::used_attempts(&failed(&counted)) >= attempts;
        let last = counted.iter().rfind(|failure| failure.class.uses_an_attempt());
        let last = last.filter(|_| is_spent());
        counted.iter().find(|failure| failure.class.is_final()).or(last).copied()
    }

    /// Failed attempts that no retry has forgiven.
    fn counted(&self, shard: &ShardId) -> impl Iterator<Item = &Failure> {
        let all = self.failures.get(shard).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|failure| !self.retries.forgiven.contains(&failure.attempt))
    }

    /// The next attempt at a shard, if the shard needs one.
    pub fn task(&self, shard: &Shard, attempts: u32) -> Option<Task> {
        let commit_n = match self.of(&shard.id, attempts) {
            ShardState::Open => 0,
            ShardState::Repairing(n) => n.saturating_add(1),
            ShardState::Committed(_) | ShardState::Quarantined(_) => return None,
        };
        let repair = self.retries.repair(&shard.id, commit_n).cloned();
        let counted: Vec<&Failure> = self.counted(&shard.id).collect();
        Some(Task { shard: shard.clone(), failed: failed(&counted), commit_n, repair })
    }

    /// The open shards of the plan, in plan order.
    pub fn remaining<'a>(&'a self, plan: &'a [Shard], attempts: u32) -> impl Iterator<Item = Task> + 'a {
        plan.iter().filter_map(move |shard| self.task(shard, attempts))
    }
}

fn failed(failures: &[&Failure]) -> Vec<FailedAttempt> {
    failures.iter().map(|failure| FailedAttempt::from(*failure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::{failure::FailureClass, retry::Repair, settings::Limits};

    fn after(classes: &[FailureClass]) -> (JobState, ShardId) {
        let shard = ShardId::of("a", "1", 0..1);
        let failure = |(i, class): (usize, &FailureClass)| Failure {
            version: 1,
            shard: shard.clone(),
            attempt: AttemptId::from_random(i as u128),
            worker: "cpu#0".to_owned(),
            class: *class,
            message: format!("failure {i}"),
            crash: None,
            job: None,
        };
        let failures = classes.iter().enumerate().map(failure).collect();
        (JobState { failures: [(shard.clone(), failures)].into(), ..JobState::default() }, shard)
    }

    #[test]
    fn only_what_speaks_against_the_shard_uses_up_its_attempts() {
        use FailureClass::*;
        let (state, shard) = after(&[WorkerKilled, Store, FailureBudget, WorkerKilled]);
        assert_eq!(state.of(&shard, 2), ShardState::Open);
        let (state, shard) = after(&[Store, WorkerCrashed, WorkerKilled]);
        let ShardState::Quarantined(why) = state.of(&shard, 2) else { panic!("two attempts were used up") };
        assert_eq!(why.message, "failure 1");
    }

    #[test]
    fn a_changed_input_is_not_tried_again_and_a_commit_outweighs_all_failures() {
        let (mut state, shard) = after(&[FailureClass::InputChanged]);
        assert!(matches!(state.of(&shard, 4), ShardState::Quarantined(_)));
        state.committed.insert(shard.clone(), 0);
        assert_eq!(state.of(&shard, 4), ShardState::Committed(0));
    }

    #[test]
    fn a_retry_opens_what_had_failed_and_a_repair_that_fails_too_leaves_the_old_result() {
        let (mut state, shard) = after(&[FailureClass::InputChanged, FailureClass::Store]);
        state.retries.forgiven.insert(AttemptId::from_random(0));
        assert_eq!(state.of(&shard, 2), ShardState::Open);
        let repair = Repair { statuses: vec![], limits: Limits::default() };
        state.retries.repairs.insert(shard.clone(), (1, repair));
        state.committed.insert(shard.clone(), 0);
        assert_eq!(state.of(&shard, 2), ShardState::Repairing(0));
        assert_eq!(state.of(&shard, 1), ShardState::Committed(0), "its attempts are used up");
        state.committed.insert(shard.clone(), 1);
        assert_eq!(state.of(&shard, 2), ShardState::Committed(1));
    }
}
