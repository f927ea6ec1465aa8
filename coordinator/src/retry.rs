//! Retrying what failed: a record of the wish, which the standing of the job then takes into account.
//!
//! The record forgives failures and names the commits to create; everyone who works on the job reads it, so it is safe while
//! workers run, and a retry that is killed is resumed by running the job again.

use crate::{
    JobError, commits, job,
    standing::{ShardState, Standing, standing},
};
use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError, Creation, strays};
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
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

/// What all retries of a job ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retried {
    pub forgiven: BTreeSet<AttemptId>,
    /// By shard: the newest retry's wish, with the number of the commit that fulfils it.
    pub repairs: BTreeMap<ShardId, (u32, Repair)>,
}

impl Retried {
    /// What is asked of this commit of a shard.
    pub fn repair(&self, shard: &ShardId, commit_n: u32) -> Option<&Repair> {
        self.repairs.get(shard).filter(|(n, _)| *n == commit_n).map(|(_, repair)| repair)
    }
}

/// Reads a job's retries; there are few.
pub(crate) async fn retried(bucket: &Bucket, job: Option<&JobDigest>) -> Result<Retried, BucketError> {
    let mut listed = bucket.list(names::RETRIES);
    let mut numbers = BTreeSet::new();
    while let Some((name, meta)) = listed.try_next().await? {
        match names::parse_retry(&name) {
            Some(n) => drop(numbers.insert(n)),
            None if meta.size > 0 => strays::pass_over(bucket, &name, "it is no retry's name"),
            None => {}
        }
    }
    let mut all = Retried::default();
    for n in numbers {
        let misplaced = |retry: &Retry| {
            let copied = || format!("it is a copy of {}", names::retry(retry.n));
            (retry.n != n).then(copied).or_else(|| job?.foreign(retry.job.as_ref()))
        };
        let Some(retry) = strays::read(bucket, &names::retry(n), misplaced).await? else { continue };
        all.forgiven.extend(retry.forgiven);
        let repairs = retry.repairs.into_iter().map(|one| (one.shard, (one.commit_n, retry.repair.clone())));
        all.repairs.extend(repairs);
    }
    Ok(all)
}

/// What a retry should take up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub statuses: Vec<RowStatus>,
    pub classes: Vec<FailureClass>,
}

impl Wanted {
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
pub struct Found {
    /// Quarantined shards, and their rows.
    pub shards: u64,
    pub shard_rows: u64,
    /// Quarantined rows of committed shards, by status.
    pub rows: BTreeMap<RowStatus, u64>,
    forgiven: Vec<AttemptId>,
    repairs: Vec<ShardRepair>,
    job: Option<JobDigest>,
}

impl Found {
    pub fn is_empty(&self) -> bool {
        self.repairs.is_empty()
    }
}

/// Looks for what failed as wanted. What an earlier retry has opened already is open anyway and not found again.
///
/// # Errors
/// When there is no job, or the store fails.
pub async fn find(bucket: &Bucket, wanted: &Wanted) -> Result<Found, JobError> {
    let (record, plan) = job::load(bucket).await?;
    let standing = standing(bucket).await?;
    let mut found = Found { job: standing.job.clone(), ..Found::default() };
    for shard in &plan {
        if let ShardState::Quarantined(why) = standing.of(&shard.id, record.settings.limits.attempts)
            && wanted.classes.contains(&why.class)
        {
            found.shards += 1;
            found.shard_rows += shard.rows;
            found.take(&standing, &shard.id, 0);
        }
    }
    found.rows_of_committed(bucket, &plan, &standing, record.settings.limits.attempts, wanted).await?;
    Ok(found)
}

impl Found {
    async fn rows_of_committed(
        &mut self,
        bucket: &Bucket,
        plan: &[Shard],
        standing: &Standing,
        attempts: u32,
        wanted: &Wanted,
    ) -> Result<(), BucketError> {
        let mut counted = pin!(commits::counted(bucket, plan, standing));
        while let Some(one) = counted.try_next().await? {
            let is_settled = standing.of(&one.commit.shard, attempts) == ShardState::Committed(one.n);
            let rows = wanted.statuses.iter().map(|status| (*status, one.commit.tally.count(*status)));
            let rows: Vec<_> = rows.filter(|(_, rows)| *rows > 0 && is_settled).collect();
            if !rows.is_empty() {
                self.take(standing, &one.commit.shard, one.n.saturating_add(1));
            }
            rows.into_iter().for_each(|(status, rows)| *self.rows.entry(status).or_default() += rows);
        }
        Ok(())
    }

    fn take(&mut self, standing: &Standing, shard: &ShardId, commit_n: u32) {
        self.repairs.push(ShardRepair { shard: shard.clone(), commit_n });
        let failures = standing.failures.get(shard).into_iter().flatten();
        self.forgiven.extend(failures.map(|failure| failure.attempt.clone()));
    }

    /// Writes the wish down; from then on, whoever works on the job does it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record(self, bucket: &Bucket, wanted: &Wanted, limits: Limits) -> Result<Retry, BucketError> {
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
