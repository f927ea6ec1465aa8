//! Status of a job, read from the bucket alone.

use super::{
    failed_attempt::{self, FailedAttempt},
    sampling::Sample,
    throughput::{self, CommitSummary, Throughput},
};
use crate::{
    job::{self, JobError},
    manifest,
    state::{JobState, ShardState, commits},
};
use capfilt_schemas::{
    failure::FailureClass,
    job::{JobDigest, JobRecord},
    manifest::Manifest,
    object_keys,
    plan::{RefusedFile, Shard, ShardId},
    status::RowStatus,
    tally::{Tally, TextTally},
};
use capfilt_store::{CommitEntry, Location, RECORDS_AT_ONCE, StoreError, list_commit_entries, strays};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::SystemTime,
};

/// Status that `capfilt status` prints, also as JSON with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// States of the shards.
    pub shards: States,
    /// States of the rows.
    pub rows: States,
    /// Whether the rows of every shard are known: counted by the plan or read from a commit. Otherwise `rows`
    /// contains estimates.
    pub rows_exact: bool,
    /// Committed rows, by status.
    pub rows_by_status: BTreeMap<RowStatus, u64>,
    /// Kept texts and images.
    pub kept: Kept,
    /// Commits that `rows_by_status` and `kept` were counted from.
    pub counted: Counted,
    /// Throughput; `null` before the first commit.
    pub pace: Option<Throughput>,
    /// Failed attempts so far, including those of shards that succeeded later.
    pub failures: BTreeMap<FailureClass, u64>,
    /// The newest failed attempts, newest first.
    pub newest_failures: Vec<FailedAttempt>,
    /// Input files that gave no shard.
    pub refused: Vec<RefusedFile>,
    /// Whether every shard is committed or quarantined and a manifest describes this state.
    pub done: bool,
    /// Whether every shard is committed or quarantined and no manifest describes this state yet: `capfilt
    /// run` seals such a job.
    pub to_seal: bool,
    /// URL of the newest manifest.
    pub manifest: Option<String>,
}

/// Shards, or rows of shards, by state; `planned` is the sum of the next three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct States {
    /// Shards of the plan, or their rows.
    pub planned: u64,
    /// Shards with a commit, or their rows.
    pub committed: u64,
    /// Shards that have used up their attempts, or their rows.
    pub quarantined: u64,
    /// Other shards, or their rows.
    pub open: u64,
    /// The part of the committed ones that a retry executes again.
    pub repairing: u64,
}

/// Kept texts and pairs of the committed shards.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Kept {
    /// Kept texts, by text column; captions are `synthetic`.
    pub texts: BTreeMap<String, KeptTexts>,
    /// Rows of the pairs tables.
    pub pairs: u64,
}

/// Kept texts of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct KeptTexts {
    /// Number of kept texts.
    pub kept: u64,
    /// Number of judged texts.
    pub judged: u64,
    /// Kept share of the judged texts, 0 to 1; `null` without a judged text.
    pub share: Option<f64>,
}

/// Basis of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Number of commits that were read.
    pub commits: u64,
    /// Commit records that were read.
    pub read: u64,
    /// Whether the counts are extrapolated from the commits that were read.
    pub is_estimate: bool,
}

/// Reads a job's status.
///
/// # Errors
/// A missing job, a damaged plan, and a failing store.
pub async fn status(bucket: &Location) -> Result<Status, JobError> {
    StatusReader::open(bucket).await?.read().await
}

/// Whether every shard is committed or quarantined and a manifest exists. Reads at most a few commits.
///
/// # Errors
/// As [`status`].
pub async fn is_done(bucket: &Location) -> Result<bool, JobError> {
    // The manifest is checked first: it is missing most of the time, and the other checks cost a listing.
    if manifest::highest(bucket).await?.is_none() {
        return Ok(false);
    }
    let (record, plan) = job::load(bucket).await?;
    let job_state = JobState::read(bucket).await?;
    if newest(bucket, job_state.job.as_ref()).await?.is_none() {
        return Ok(false);
    }
    Ok(job_state.remaining(&plan, record.settings.limits.attempts).next().is_none())
}

/// Reads a job's status repeatedly; each commit is read once.
pub struct StatusReader<'a> {
    bucket: &'a Location,
    record: JobRecord,
    plan: Vec<Shard>,
    /// Job state at the last reading.
    job_state: JobState,
    /// Commits read so far. Memory: about half a kilobyte for each of the few thousand commits of a reading.
    known: HashMap<(ShardId, u32), (CommitSummary, Tally)>,
}

impl<'a> StatusReader<'a> {
    /// Opens the status of a job.
    ///
    /// # Errors
    /// A missing job, a damaged plan, and a failing store.
    pub async fn open(bucket: &'a Location) -> Result<Self, JobError> {
        let (record, plan) = job::load(bucket).await?;
        Ok(Self { bucket, record, plan, job_state: JobState::default(), known: HashMap::new() })
    }

    /// Reads the current status: a listing of the commits, a listing of the failures, the failure records,
    /// and at most a few thousand commits.
    ///
    /// # Errors
    /// A failing store.
    pub async fn read(&mut self) -> Result<Status, JobError> {
        let mut listed = list_commit_entries(self.bucket, object_keys::COMMITS).await?;
        // A commit of a shard outside the plan is ignored; `verify` reports it.
        let planned: HashSet<&ShardId> = self.plan.iter().map(|shard| &shard.id).collect();
        listed.retain(|shard, _| planned.contains(shard));
        drop(planned);
        let committed = listed.iter().map(|(shard, listed)| (shard.clone(), listed.n)).collect();
        let job_state = JobState::read_with_commits(self.bucket, committed, &self.job_state).await?;
        let sample = Sample::of(&listed);
        self.learn(&sample, job_state.job.as_ref()).await?;
        let (mut shards, mut rows, mut rows_exact) = (States::default(), States::default(), true);
        for shard in &self.plan {
            let state = job_state.of(&shard.id, self.record.settings.limits.attempts);
            let (planned, is_exact) = self.rows_of(shard, &listed);
            shards.add(state, 1);
            rows.add(state, planned);
            rows_exact &= is_exact;
        }
        let newest = newest(self.bucket, job_state.job.as_ref()).await?;
        self.job_state = job_state;
        let (tally, is_estimate) = self.tally(&sample, &listed, newest.as_ref());
        let recent: Vec<CommitSummary> =
            sample.newest.iter().map(|commit| self.of(commit).0.clone()).collect();
        let counted =
            Counted { commits: listed.len() as u64, read: sample.read().count() as u64, is_estimate };
        let is_settled = shards.open == 0 && shards.repairing == 0;
        let mut classes = BTreeMap::new();
        self.job_state
            .failures
            .values()
            .flatten()
            .for_each(|failure| *classes.entry(failure.class).or_default() += 1);
        Ok(Status {
            shards,
            rows,
            rows_exact,
            kept: Kept::of(&tally),
            rows_by_status: tally.rows,
            counted,
            pace: throughput::of_commits(&recent, now_ms(), rows.open),
            failures: classes,
            newest_failures: failed_attempt::newest(&self.job_state),
            refused: self.record.plan.refused.clone(),
            done: is_settled && newest.is_some(),
            to_seal: is_settled && newest.is_none(),
            manifest: newest.map(|manifest| self.bucket.url_of(&object_keys::manifest(manifest.n))),
        })
    }

    /// Record, plan and state of the job at the last reading.
    pub(super) fn parts(&self) -> (&JobRecord, &[Shard], &JobState) {
        (&self.record, &self.plan, &self.job_state)
    }

    /// Shard, number and time of every commit that the last reading has read.
    pub(super) fn read_commits(&self) -> impl Iterator<Item = (&ShardId, u32, i64)> {
        self.known.iter().map(|((shard, n), (commit, _))| (shard, *n, commit.written_ms))
    }

    /// Reads the commits of a sample that are not known yet, and drops known ones outside the sample.
    async fn learn(&mut self, sample: &Sample, job: Option<&JobDigest>) -> Result<(), StoreError> {
        let mut known = HashMap::new();
        let mut unknown = Vec::new();
        for (shard, listed) in sample.read() {
            let key = (shard.clone(), listed.n);
            match self.known.remove(&key) {
                Some(commit) => drop(known.insert(key, commit)),
                None => unknown.push((key, *listed)),
            }
        }
        let bucket = self.bucket;
        let reads = unknown.into_iter().map(|(key, listed)| async move {
            let commit = commits::read(bucket, &key.0, key.1, job).await?.commit;
            Ok::<_, StoreError>((key, (CommitSummary::of(&commit, listed.written_ms), commit.tally)))
        });
        let mut reads = futures::stream::iter(reads).buffer_unordered(RECORDS_AT_ONCE);
        while let Some((key, commit)) = reads.try_next().await? {
            known.insert(key, commit);
        }
        self.known = known;
        Ok(())
    }

    /// Rows of a shard, and whether their number is known.
    fn rows_of(&self, shard: &Shard, listed: &BTreeMap<ShardId, CommitEntry>) -> (u64, bool) {
        let commit = || self.known.get(&(shard.id.clone(), listed.get(&shard.id)?.n));
        match if shard.rows_exact { None } else { commit() } {
            Some((commit, _)) => (commit.rows, true),
            None => (shard.rows, shard.rows_exact),
        }
    }

    fn of(&self, (shard, listed): &(ShardId, CommitEntry)) -> &(CommitSummary, Tally) {
        &self.known[&(shard.clone(), listed.n)]
    }

    /// Tally of all commits, and whether it is estimated. A manifest that describes exactly these commits has
    /// the exact tally.
    fn tally(
        &self,
        sample: &Sample,
        listed: &BTreeMap<ShardId, CommitEntry>,
        newest: Option<&Manifest>,
    ) -> (Tally, bool) {
        if let Some(manifest) =
            newest.filter(|manifest| !sample.unread.is_empty() && describes(manifest, listed))
        {
            return (manifest.tally.clone(), false);
        }
        let sum = |commits: &[(ShardId, CommitEntry)]| {
            let mut sum = Tally::default();
            commits.iter().for_each(|commit| sum.merge(&self.of(commit).1));
            sum
        };
        let unread: std::collections::HashSet<&ShardId> = sample.unread.iter().collect();
        let rows_unread =
            self.plan.iter().filter(|shard| unread.contains(&shard.id)).map(|shard| shard.rows).sum();
        let tally = Sample::estimate(sum(&sample.newest), sum(&sample.others), rows_unread);
        (tally, !sample.unread.is_empty())
    }
}

/// The newest manifest of this job. A damaged manifest, or one of another job, is ignored: `run` writes the
/// next one.
async fn newest(bucket: &Location, job: Option<&JobDigest>) -> Result<Option<Manifest>, StoreError> {
    let is_own = |manifest: &Manifest| job.and_then(|job| job.foreign(manifest.job.as_ref())).is_none();
    match manifest::newest(bucket).await {
        Err(error) if error.is_damage() => {
            let why = format!("{error}; running the job again writes a new manifest");
            strays::pass_over(bucket, object_keys::MANIFESTS, &why);
            Ok(None)
        }
        newest => Ok(newest?.filter(is_own)),
    }
}

/// Whether a manifest describes exactly these commits.
fn describes(manifest: &Manifest, listed: &BTreeMap<ShardId, CommitEntry>) -> bool {
    let repaired = listed.values().filter(|listed| listed.n > 0).count();
    let is_as_listed = |repaired: &capfilt_schemas::manifest::Repaired| {
        listed.get(&repaired.shard).is_some_and(|listed| listed.n == repaired.n)
    };
    manifest.shards == listed.len() as u64
        && manifest.repaired.len() == repaired
        && manifest.repaired.iter().all(is_as_listed)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Kept {
    fn of(tally: &Tally) -> Self {
        let of = |texts: &TextTally| KeptTexts {
            kept: texts.kept,
            judged: texts.judged(),
            share: texts.kept_share(),
        };
        let texts = tally.texts.iter().map(|(source, texts)| (source.clone(), of(texts))).collect();
        Self { texts, pairs: tally.pairs }
    }
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
