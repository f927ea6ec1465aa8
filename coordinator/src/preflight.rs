//! `capfilt check` of a bucket: tests the operations that the commit protocol needs.

use bytes::Bytes;
use capfilt_schemas::object_keys::{self, AttemptId};
use capfilt_store::{FaultKind, Location, PutOutcome, StoreError};
use futures::TryStreamExt as _;
use std::time::Duration;

/// Attempts at a bucket that fails without refusing; the store's client has retried each request already.
const TRIES: u32 = 3;

/// Wait between two attempts.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// One tested operation and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Operation that is tested.
    pub what: &'static str,
    /// Fault and remedy.
    pub problem: Option<String>,
    /// Whether the fault may pass without a change.
    pub may_pass: bool,
}

/// Reason why a bucket cannot hold a job.
#[derive(Debug, thiserror::Error)]
#[error("this bucket cannot hold a job: {what}: {why}")]
pub struct Unfit {
    /// Operation that failed.
    pub what: &'static str,
    /// Reason of the failure.
    pub why: String,
    /// Whether the fault may pass without a change.
    pub may_pass: bool,
}

/// Runs [`check`], repeated if a fault may pass. A bucket that refuses deletions can hold a job.
///
/// # Errors
/// The operation that failed.
pub async fn require(bucket: &Location) -> Result<(), Unfit> {
    let mut tries = 0;
    loop {
        tries += 1;
        match first_problem(bucket).await {
            Some(unfit) if !unfit.may_pass || tries == TRIES => return Err(unfit),
            Some(_) => tokio::time::sleep(TRY_EVERY).await,
            None => return Ok(()),
        }
    }
}

async fn first_problem(bucket: &Location) -> Option<Unfit> {
    let needed = check(bucket).await.into_iter().filter(|step| step.what != DELETE);
    let mut failed = needed
        .filter_map(|step| Some(Unfit { what: step.what, why: step.problem?, may_pass: step.may_pass }));
    failed.next()
}

const DELETE: &str = "delete";

/// Writes, reads, creates twice, lists and deletes a probe below the job's URL. Stops at the first failure.
pub async fn check(bucket: &Location) -> Vec<Step> {
    let probe = object_keys::probe(&AttemptId::from_random(rand::random()));
    let created = object_keys::probe(&AttemptId::from_random(rand::random()));
    let mut steps = Vec::new();
    let outcome = probe_steps(bucket, &probe, &created, &mut steps).await;
    if outcome.is_none() && steps.len() > 1 {
        // Removes the objects that were written before the failure. An error of the removal is less
        // important.
        let _ = bucket.delete(&probe).await;
        let _ = bucket.delete(&created).await;
    }
    steps
}

/// Returns `None` after a failed operation.
async fn probe_steps(bucket: &Location, probe: &str, created: &str, steps: &mut Vec<Step>) -> Option<()> {
    let content = Bytes::from_static(b"written by capfilt check; safe to delete");
    let mut note = |what, result: Result<(), Problem>| {
        let passed = result.is_ok().then_some(());
        let may_pass = result.as_ref().is_err_and(|problem| problem.may_pass);
        steps.push(Step { what, problem: result.err().map(|problem| problem.why), may_pass });
        passed
    };
    note("write", said(bucket.write(probe, content.clone()).await, "may these credentials write here?"))?;
    let read = bucket.read(probe).await.map_err(|error| advise(&error, "may these credentials read here?"));
    let same = |read: Bytes| {
        if read == content {
            Ok(())
        } else {
            Err(Problem::of(format!("{probe} does not have the bytes that were written to it")))
        }
    };
    note("read", read.and_then(same))?;
    note("report a missing object", miss(bucket).await)?;
    note("create", create_first(bucket, created).await)?;
    note("create only once", create_again(bucket, created).await)?;
    note("list", list(bucket, probe).await)?;
    note(DELETE, said(bucket.delete(probe).await, "may these credentials delete here?"))?;
    note(DELETE, said(bucket.delete(created).await, "may these credentials delete here?"))?;
    steps.pop();
    Some(())
}

/// Checks that the store distinguishes a missing record from a forbidden one: a run reads records that may be
/// missing.
async fn miss(bucket: &Location) -> Result<(), Problem> {
    let nothing = object_keys::probe(&AttemptId::from_random(rand::random()));
    match bucket.read_if_there(&nothing).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Problem::of(format!("the store returns {nothing}, which was never written"))),
        Err(error) => Err(advise(
            &error,
            "if listing is not allowed, a store answers so for a missing object: may these credentials list \
             below the job's URL?",
        )),
    }
}

async fn create_first(bucket: &Location, name: &str) -> Result<(), Problem> {
    match bucket.create(name, Bytes::from_static(b"first")).await {
        Ok(PutOutcome::Created) => Ok(()),
        Ok(PutOutcome::Exists(_)) => {
            Err(Problem::of(format!("{name} is new, but the store says that it exists")))
        }
        Err(error) => Err(not_created(&error)),
    }
}

fn not_created(error: &StoreError) -> Problem {
    let advice = match error.kind() {
        Some(FaultKind::NotSupported | FaultKind::Answer(_) | FaultKind::Precondition | FaultKind::Other) => {
            "; does this store support create-only PUT (If-None-Match: *)? commits need it"
        }
        _ => "",
    };
    Problem { why: format!("{error}{advice}"), may_pass: error.may_pass() }
}

async fn create_again(bucket: &Location, name: &str) -> Result<(), Problem> {
    match bucket.create(name, Bytes::from_static(b"second")).await {
        Ok(PutOutcome::Exists(found)) if found == "first" => Ok(()),
        Ok(_) => Err(Problem::of(
            "a second create replaced the first: this store ignores create-only PUT (If-None-Match: *), so \
             two attempts could both commit one shard; use another store, or turn conditional writes on",
        )),
        Err(error) => Err(not_created(&error)),
    }
}

async fn list(bucket: &Location, probe: &str) -> Result<(), Problem> {
    let mut listed = bucket.list(object_keys::PROBES);
    loop {
        match listed.try_next().await {
            Ok(Some((name, _))) if name == probe => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(Problem::of(
                    "the listing lacks the probe that was just written; resuming needs current listings",
                ));
            }
            Err(error) => return Err(advise(&error, "may these credentials list here?")),
        }
    }
}

fn said<T>(result: Result<T, StoreError>, advice: &str) -> Result<(), Problem> {
    result.map(drop).map_err(|error| advise(&error, advice))
}

/// The error, followed by `advice` if permission is missing.
fn advise(error: &StoreError, advice: &str) -> Problem {
    let is_about_permission = matches!(error.kind(), Some(FaultKind::Forbidden));
    let why = if is_about_permission { format!("{error}; {advice}") } else { error.to_string() };
    Problem { why, may_pass: error.may_pass() }
}

struct Problem {
    why: String,
    may_pass: bool,
}

impl Problem {
    /// A permanent fault of the store.
    fn of(why: impl Into<String>) -> Self {
        Self { why: why.into(), may_pass: false }
    }
}
