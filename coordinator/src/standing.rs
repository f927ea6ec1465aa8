//! Where a job stands, from the bucket alone: what is committed, what failed how often, and so what remains.

use capfilt_bucket::{Bucket, BucketError, Results, results};
use capfilt_schemas::{
    failure::{Failure, FailureClass},
    names,
    plan::{Shard, ShardId},
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeMap;

/// Records read at the same time: small objects, so requests wait for latency alone.
pub(crate) const RECORDS_AT_ONCE: usize = 32;

/// What the bucket says about a job's shards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    pub committed: Results,
    /// Failed attempts of each shard, oldest first; shards that were committed later are among them.
    pub failures: BTreeMap<ShardId, Vec<Failure>>,
}

/// What became of a shard so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ShardState<'a> {
    /// Commit `n` is its result.
    Committed(u32),
    /// It failed for good; the last failure that counted says why.
    Quarantined(&'a Failure),
    /// There is work to do; `failures` tries are used up.
    Open { failures: u32 },
}

/// Reads a job's standing: one listing of commits, one of failures, and the failures themselves.
pub async fn standing(bucket: &Bucket) -> Result<Standing, BucketError> {
    Ok(Standing { committed: results(bucket).await?, failures: failures(bucket).await? })
}

async fn failures(bucket: &Bucket) -> Result<BTreeMap<ShardId, Vec<Failure>>, BucketError> {
    let mut listed: Vec<_> = bucket.list(names::FAILURES).try_collect().await?;
    listed.retain(|(name, _)| names::parse_failure(name).is_some());
    listed.sort_by(|(a, a_meta), (b, b_meta)| a_meta.last_modified.cmp(&b_meta.last_modified).then_with(|| a.cmp(b)));
    let reads = futures::stream::iter(&listed).map(|(name, _)| bucket.read_record::<Failure>(name));
    let mut reads = reads.buffered(RECORDS_AT_ONCE);
    let mut failures = BTreeMap::<ShardId, Vec<Failure>>::new();
    while let Some(failure) = reads.try_next().await? {
        failures.entry(failure.shard.clone()).or_default().push(failure);
    }
    Ok(failures)
}

impl Standing {
    /// The state of one shard under `limits.attempts`.
    pub fn of(&self, shard: &ShardId, attempts: u32) -> ShardState<'_> {
        if let Some(n) = self.committed.get(shard) {
            return ShardState::Committed(*n);
        }
        let failures = self.failures.get(shard).map_or(&[][..], Vec::as_slice);
        let used = failures.iter().filter(|failure| uses_an_attempt(failure.class)).count() as u32;
        let last = failures.iter().rfind(|failure| uses_an_attempt(failure.class));
        match (failures.iter().find(|failure| is_final(failure.class)), last) {
            (Some(failure), _) => ShardState::Quarantined(failure),
            (None, Some(last)) if used >= attempts => ShardState::Quarantined(last),
            _ => ShardState::Open { failures: used },
        }
    }

    /// The plan's shards that have neither a result nor failed for good, in plan order, with the tries they used up.
    pub fn remaining<'a>(&'a self, plan: &'a [Shard], attempts: u32) -> impl Iterator<Item = (&'a Shard, u32)> {
        plan.iter().filter_map(move |shard| match self.of(&shard.id, attempts) {
            ShardState::Open { failures } => Some((shard, failures)),
            _ => None,
        })
    }
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
    use capfilt_schemas::names::AttemptId;

    fn standing(classes: &[FailureClass]) -> (Standing, ShardId) {
        let shard = ShardId::of("a", "1", 0..1);
        let failure = |(i, class): (usize, &FailureClass)| Failure {
            version: 1,
            shard: shard.clone(),
            attempt: AttemptId::from_random(i as u128),
            worker: "cpu#0".to_owned(),
            class: *class,
            message: format!("failure {i}"),
        };
        let failures = classes.iter().enumerate().map(failure).collect();
        (Standing { committed: Results::new(), failures: [(shard.clone(), failures)].into() }, shard)
    }

    #[test]
    fn only_what_speaks_against_the_shard_uses_up_its_attempts() {
        use FailureClass::*;
        let (state, shard) = standing(&[WorkerKilled, Store, FailureBudget, WorkerKilled]);
        assert_eq!(state.of(&shard, 2), ShardState::Open { failures: 1 });
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
}
