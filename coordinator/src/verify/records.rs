//! Checks the records: each commit has its own name, a planned shard and a unique attempt; the known answers
//! are those of the job's models.

use super::Problem;
use capfilt_schemas::{
    commit::Commit,
    hash::sha256_hex,
    job::JobRecord,
    object_keys::{self, AttemptId},
    plan::{Shard, ShardId},
    self_test::{KnownAnswers, ModelPair},
};
use capfilt_store::{Location, StoreError, links_below};
use futures::TryStreamExt as _;
use std::collections::{BTreeMap, HashSet};

/// Problems of names, and of shards with several commits. The current commit is read with its shard.
pub(super) async fn check(bucket: &Location, plan: &[Shard]) -> Result<Vec<Problem>, StoreError> {
    let planned: HashSet<&ShardId> = plan.iter().map(|shard| &shard.id).collect();
    let mut problems = Vec::new();
    let mut several = BTreeMap::<ShardId, Vec<u32>>::new();
    let mut listed = bucket.list(object_keys::COMMITS);
    while let Some((name, _)) = listed.try_next().await? {
        match object_keys::parse_commit(&name) {
            // The name must be the canonical one: `00.json` is a copy of `0.json`.
            Some((shard, n)) if object_keys::commit(&shard, n) == name => {
                if !planned.contains(&shard) {
                    let next = "no command reads it; find the process that wrote it, then delete it";
                    problems.push(Problem::new(
                        name,
                        format!("commit of shard {shard}, which is not in the plan"),
                        next,
                    ));
                }
                several.entry(shard).or_default().push(n);
            }
            _ => problems.push(Problem::new(
                name,
                "the name is not that of a commit",
                "no command reads it; delete it if it is a copy",
            )),
        }
    }
    several.retain(|_, numbers| numbers.len() > 1);
    for (shard, mut numbers) in several {
        numbers.sort_unstable();
        problems.extend(doubled(bucket, &shard, &numbers).await?);
    }
    Ok(problems)
}

/// Problems of symbolic links in a job's folder: no link is followed, so a link's target does not belong to
/// the job.
pub(super) fn links(bucket: &Location) -> Result<Vec<Problem>, StoreError> {
    let local = |source| StoreError::Local { path: bucket.url.clone(), source };
    let next = "replace it by its target, or remove it";
    let problem = |name| Problem::new(name, "it is a symbolic link, and links are not followed", next);
    Ok(links_below(bucket).map_err(local)?.into_iter().map(problem).collect())
}

/// The problem of known answers that no worker process would accept. Before the first worker process starts,
/// a job has no known answers.
pub(super) async fn known_answers(bucket: &Location, job: &JobRecord) -> Result<Option<Problem>, StoreError> {
    let name = object_keys::KNOWN_ANSWERS;
    let bytes = match bucket.read_if_there(name).await {
        // The problem of the link is reported by `links`.
        Err(error) if error.is_link() => return Ok(None),
        found => found?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let answers = bucket.parse_record::<KnownAnswers>(name, &bytes);
    let what =
        answers.map_or_else(|error| Some(error.to_string()), |answers| answers.misfit(&ModelPair::of(job)));
    let next = "no worker process starts with it; delete it, and the next worker process creates it again";
    Ok(what.map(|what| Problem::new(name, what, next)))
}

/// Commits of one shard with equal attempts or equal bytes: a repair is always a new attempt.
async fn doubled(bucket: &Location, shard: &ShardId, numbers: &[u32]) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    let mut attempts = BTreeMap::<AttemptId, u32>::new();
    let mut digests = BTreeMap::<String, u32>::new();
    for &n in numbers {
        let name = object_keys::commit(shard, n);
        let bytes = bucket.read(&name).await?;
        let attempt = bucket.parse_record::<Commit>(&name, &bytes).map(|commit| commit.attempt);
        let same_bytes = digests.insert(sha256_hex(&bytes), n);
        let same_attempt = attempt.ok().and_then(|attempt| attempts.insert(attempt, n));
        if let Some(first) = same_bytes.or(same_attempt) {
            let what = format!("doubled commit: it has the attempt of commit {first} of this shard");
            let next = format!(
                "delete {name}: commit {first} is the result it copies; then run the job again for a new \
                 manifest"
            );
            problems.push(Problem::new(name, what, next));
        }
    }
    Ok(problems)
}
