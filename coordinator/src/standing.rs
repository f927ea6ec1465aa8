//! Where a job stands, from the bucket alone: what is committed, what failed how often, and so what remains.

use crate::{
    commits,
    crashes::{self, Failed},
    job,
    retry::{Retried, retried},
    task::Task,
};
use capfilt_bucket::{Bucket, BucketError, Results, results, strays};
use capfilt_schemas::{
    failure::{Failure, FailureClass},
    job::JobDigest,
    names::{self, AttemptId},
    plan::{Shard, ShardId},
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::{BTreeMap, HashMap};

/// Records read at the same time: small objects, so requests wait for latency alone. Sealing reads every commit once, and
/// a hundred thousand of them at 30 ms each are half a minute at this number. Memory: about 2 kB each.
pub(crate) const RECORDS_AT_ONCE: usize = 128;

/// What the bucket says about a job's shards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    pub committed: Results,
    /// Failed attempts of each shard, oldest first; shards that were committed later are among them.
    pub failures: BTreeMap<ShardId, Vec<Failure>>,
    pub retried: Retried,
    /// The job all of it belongs to; `None` when there is no `job.json`.
    pub job: Option<JobDigest>,
}

/// What became of a shard so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ShardState<'a> {
    /// Commit `n` is its result.
    Committed(u32),
    /// Commit `n` is its result until a retry has repaired it.
    Repairing(u32),
    /// It failed for good; the last failure that counted says why.
    Quarantined(&'a Failure),
    /// It has no result yet.
    Open,
}

/// Reads a job's standing: a listing each of commits, failures and retries, the failures and retries themselves, and a
/// few of the commits.
///
/// # Errors
/// When the store fails, or when one of those commits belongs to another job.
pub async fn standing(bucket: &Bucket) -> Result<Standing, BucketError> {
    standing_since(bucket, &Standing::default()).await
}

/// The same, when it was read before: a record never changes, so failures that are known are not read again.
pub(crate) async fn standing_since(bucket: &Bucket, before: &Standing) -> Result<Standing, BucketError> {
    let standing = standing_unchecked(bucket, before).await?;
    commits::require_own(bucket, &standing).await?;
    Ok(standing)
}

/// The same for those who read every commit themselves.
pub(crate) async fn standing_unchecked(bucket: &Bucket, before: &Standing) -> Result<Standing, BucketError> {
    read(results(bucket, names::COMMITS), bucket, names::FAILURES, before).await
}

/// The same, when the commits have been listed already.
pub(crate) async fn standing_with(
    bucket: &Bucket,
    committed: Results,
    before: &Standing,
) -> Result<Standing, BucketError> {
    read(async { Ok(committed) }, bucket, names::FAILURES, before).await
}

/// The standing of one shard, which is all that is read.
pub async fn standing_of(bucket: &Bucket, shard: &ShardId) -> Result<Standing, BucketError> {
    let [commits, failures] = [names::COMMITS, names::FAILURES].map(|folder| format!("{folder}/{shard}"));
    read(results(bucket, &commits), bucket, &failures, &Standing::default()).await
}

async fn read(
    commits: impl Future<Output = Result<Results, BucketError>>,
    bucket: &Bucket,
    failed: &str,
    before: &Standing,
) -> Result<Standing, BucketError> {
    let known: HashMap<&AttemptId, &Failure> =
        before.failures.values().flatten().map(|failure| (&failure.attempt, failure)).collect();
    let job = async {
        match &before.job {
            Some(job) => Ok(Some(job.clone())),
            None => job::digest(bucket).await,
        }
    };
    let (committed, listed, job) = tokio::try_join!(commits, listed_failures(bucket, failed), job)?;
    let (failures, retried) =
        tokio::try_join!(failures(bucket, &listed, &known, job.as_ref()), retried(bucket, job.as_ref()))?;
    Ok(Standing { committed, failures, retried, job })
}

/// Names of failures with the attempts they are of, oldest first.
async fn listed_failures(bucket: &Bucket, under: &str) -> Result<Vec<(String, AttemptId)>, BucketError> {
    let mut listed = Vec::new();
    let mut objects = bucket.list(under);
    while let Some((name, meta)) = objects.try_next().await? {
        match names::parse_failure(&name) {
            Some((_, attempt)) => listed.push((meta.last_modified, name, attempt)),
            None if meta.size > 0 => strays::pass_over(bucket, &name, "it is no failure's name"),
            None => {}
        }
    }
    listed.sort();
    Ok(listed.into_iter().map(|(_, name, attempt)| (name, attempt)).collect())
}

async fn failures(
    bucket: &Bucket,
    listed: &[(String, AttemptId)],
    known: &HashMap<&AttemptId, &Failure>,
    job: Option<&JobDigest>,
) -> Result<BTreeMap<ShardId, Vec<Failure>>, BucketError> {
    let read = |name, attempt| async move {
        match known.get(attempt).copied() {
            Some(failure) => Ok(Some(failure.clone())),
            None => strays::read(bucket, name, |failure: &Failure| misplaced(failure, name, job)).await,
        }
    };
    let reads = futures::stream::iter(listed).map(|(name, attempt)| read(name, attempt));
    let mut reads = reads.buffered(RECORDS_AT_ONCE);
    let mut failures = BTreeMap::<ShardId, Vec<Failure>>::new();
    while let Some(failure) = reads.try_next().await? {
        if let Some(failure) = failure {
            failures.entry(failure.shard.clone()).or_default().push(failure);
        }
    }
    Ok(failures)
}

/// Why a failure's record is not what its name says.
fn misplaced(failure: &Failure, name: &str, job: Option<&JobDigest>) -> Option<String> {
    let is_copy = names::failure(&failure.shard, &failure.attempt) != name;
    let copied = || format!("it is a copy of {}", names::failure(&failure.shard, &failure.attempt));
    is_copy.then(copied).or_else(|| job?.foreign(failure.job.as_ref()))
}

impl Standing {
    /// The state of one shard under `limits.attempts`.
    pub fn of(&self, shard: &ShardId, attempts: u32) -> ShardState<'_> {
        let spent = self.spent(shard, attempts);
        match (self.committed.get(shard), spent) {
            (Some(n), None) if self.retried.repair(shard, n.saturating_add(1)).is_some() => ShardState::Repairing(*n),
            // A repair that failed for good leaves what was there.
            (Some(n), _) => ShardState::Committed(*n),
            (None, Some(why)) => ShardState::Quarantined(why),
            (None, None) => ShardState::Open,
        }
    }

    /// Whether a shard's result can change no more, unless somebody asks for a retry from now on. (A repair whose attempts
    /// are used up may still have one that runs.)
    pub fn is_settled(&self, shard: &ShardId) -> bool {
        self.committed.get(shard).is_some_and(|n| self.retried.repair(shard, n.saturating_add(1)).is_none())
    }

    /// The failure after which there is no further attempt.
    fn spent(&self, shard: &ShardId, attempts: u32) -> Option<&Failure> {
        let counted: Vec<&Failure> = self.counted(shard).collect();
        let is_spent = || crashes::used(&failed(&counted)) >= attempts;
        let last = counted.iter().rfind(|failure| uses_an_attempt(failure.class));
        let last = last.filter(|_| is_spent());
        counted.iter().find(|failure| is_final(failure.class)).or(last).copied()
    }

    /// Failed attempts that no retry has forgiven.
    fn counted(&self, shard: &ShardId) -> impl Iterator<Item = &Failure> {
        let all = self.failures.get(shard).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|failure| !self.retried.forgiven.contains(&failure.attempt))
    }

    /// What is to be done of a shard, if anything is.
    pub fn task(&self, shard: &Shard, attempts: u32) -> Option<Task> {
        let commit_n = match self.of(&shard.id, attempts) {
            ShardState::Open => 0,
            ShardState::Repairing(n) => n.saturating_add(1),
            ShardState::Committed(_) | ShardState::Quarantined(_) => return None,
        };
        let repair = self.retried.repair(&shard.id, commit_n).cloned();
        let counted: Vec<&Failure> = self.counted(&shard.id).collect();
        Some(Task { shard: shard.clone(), failed: failed(&counted), commit_n, repair })
    }

    /// What is to be done of the plan, in its order.
    pub fn remaining<'a>(&'a self, plan: &'a [Shard], attempts: u32) -> impl Iterator<Item = Task> + 'a {
        plan.iter().filter_map(move |shard| self.task(shard, attempts))
    }
}

fn failed(failures: &[&Failure]) -> Vec<Failed> {
    failures.iter().map(|failure| Failed::from(*failure)).collect()
}

/// Whether a failure uses up one of `limits.attempts`. A systemic one stops the job and says nothing about its shard.
pub(crate) fn uses_an_attempt(class: FailureClass) -> bool {
    class.counts() && !class.is_systemic()
}

/// Whether a failure ends its shard at once, since trying again without a change cannot help.
pub(crate) fn is_final(class: FailureClass) -> bool {
    !class.is_retryable() && !class.is_systemic()
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::{retry::Repair, settings::Limits};

    fn standing(classes: &[FailureClass]) -> (Standing, ShardId) {
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
        (Standing { failures: [(shard.clone(), failures)].into(), ..Standing::default() }, shard)
    }

    #[test]
    fn only_what_speaks_against_the_shard_uses_up_its_attempts() {
        use FailureClass::*;
        let (state, shard) = standing(&[WorkerKilled, Store, FailureBudget, WorkerKilled]);
        assert_eq!(state.of(&shard, 2), ShardState::Open);
        let (state, shard) = standing(&[Store, WorkerCrashed, WorkerKilled]);
        let ShardState::Quarantined(why) = state.of(&shard, 2) else { panic!("two tries were used up") };
        assert_eq!(why.message, "failure 1");
    }

    #[test]
    fn a_changed_input_is_not_tried_again_and_a_commit_outweighs_all_failures() {
        let (mut state, shard) = standing(&[FailureClass::InputChanged]);
        assert!(matches!(state.of(&shard, 4), ShardState::Quarantined(_)));
        state.committed.insert(shard.clone(), 0);
        assert_eq!(state.of(&shard, 4), ShardState::Committed(0));
    }

    #[test]
    fn a_retry_opens_what_had_failed_and_a_repair_that_fails_too_leaves_the_old_result() {
        let (mut state, shard) = standing(&[FailureClass::InputChanged, FailureClass::Store]);
        state.retried.forgiven.insert(AttemptId::from_random(0));
        assert_eq!(state.of(&shard, 2), ShardState::Open);
        let repair = Repair { statuses: vec![], limits: Limits::default() };
        state.retried.repairs.insert(shard.clone(), (1, repair));
        state.committed.insert(shard.clone(), 0);
        assert_eq!(state.of(&shard, 2), ShardState::Repairing(0));
        assert_eq!(state.of(&shard, 1), ShardState::Committed(0), "its attempts are used up");
        state.committed.insert(shard.clone(), 1);
        assert_eq!(state.of(&shard, 2), ShardState::Committed(1));
    }
}
