//! `capfilt check` on a bucket: does it do what the commit protocol needs?

use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError, Creation};
use capfilt_schemas::names::{self, AttemptId};
use futures::TryStreamExt as _;

/// One thing that was tried, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub what: &'static str,
    /// What is wrong, and what to do about it.
    pub problem: Option<String>,
}

/// Why a bucket cannot hold a job.
#[derive(Debug, thiserror::Error)]
#[error("this bucket cannot hold a job: {what}: {why}")]
pub struct Unfit {
    pub what: &'static str,
    pub why: String,
}

/// Does what [`check`] does.
///
/// # Errors
/// With the step that failed.
pub async fn require(bucket: &Bucket) -> Result<(), Unfit> {
    let failed = check(bucket).await.into_iter().find_map(|step| Some((step.what, step.problem?)));
    failed.map_or(Ok(()), |(what, why)| Err(Unfit { what, why }))
}

/// Writes, reads, creates twice, lists and deletes a probe below the job's URL; stops at the first step that fails.
pub async fn check(bucket: &Bucket) -> Vec<Step> {
    let probe = names::probe(&AttemptId::from_random(rand::random()));
    let created = names::probe(&AttemptId::from_random(rand::random()));
    let mut steps = Vec::new();
    let outcome = probe_steps(bucket, &probe, &created, &mut steps).await;
    if outcome.is_none() && steps.len() > 1 {
        // What was written before the failing step; whether it can be removed is not the news any more.
        let _ = bucket.delete(&probe).await;
        let _ = bucket.delete(&created).await;
    }
    steps
}

/// `None` when a step failed.
async fn probe_steps(bucket: &Bucket, probe: &str, created: &str, steps: &mut Vec<Step>) -> Option<()> {
    let content = Bytes::from_static(b"written by capfilt check; safe to delete");
    let mut note = |what, result: Result<(), String>| {
        let passed = result.is_ok().then_some(());
        steps.push(Step { what, problem: result.err() });
        passed
    };
    note("write", said(bucket.write(probe, content.clone()).await, "may these credentials write here?"))?;
    let read = bucket.read(probe).await.map_err(|error| advise(&error, "may these credentials read here?"));
    let same = |read: Bytes| {
        if read == content { Ok(()) } else { Err(format!("{probe} reads back as other bytes than were written")) }
    };
    note("read", read.and_then(same))?;
    note("create", create_first(bucket, created).await)?;
    note("create only once", create_again(bucket, created).await)?;
    note("list", list(bucket, probe).await)?;
    note("delete", said(bucket.delete(probe).await, "may these credentials delete here?"))?;
    note("delete", said(bucket.delete(created).await, "may these credentials delete here?"))?;
    steps.pop();
    Some(())
}

async fn create_first(bucket: &Bucket, name: &str) -> Result<(), String> {
    match bucket.create(name, Bytes::from_static(b"first")).await {
        Ok(Creation::Created) => Ok(()),
        Ok(Creation::Exists(_)) => Err(format!("{name} is new, but the store says that it exists")),
        Err(error) => Err(advise(
            &error,
            "does this store support create-only PUT (If-None-Match: *)? capfilt needs it to commit",
        )),
    }
}

async fn create_again(bucket: &Bucket, name: &str) -> Result<(), String> {
    match bucket.create(name, Bytes::from_static(b"second")).await {
        Ok(Creation::Exists(found)) if found == "first" => Ok(()),
        Ok(_) => Err("a second create replaced the first: this store ignores create-only PUT (If-None-Match: *), so two workers \
                      could both commit one shard; use another store or turn conditional writes on"
            .to_owned()),
        Err(error) => Err(advise(&error, "a second create must answer that the object exists")),
    }
}

async fn list(bucket: &Bucket, probe: &str) -> Result<(), String> {
    let mut listed = bucket.list(names::PROBES);
    loop {
        match listed.try_next().await {
            Ok(Some((name, _))) if name == probe => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err("the probe that was just written is not listed; resume needs listings that are up to date"
                    .to_owned());
            }
            Err(error) => return Err(advise(&error, "may these credentials list here?")),
        }
    }
}

fn said<T>(result: Result<T, BucketError>, advice: &str) -> Result<(), String> {
    result.map(drop).map_err(|error| advise(&error, advice))
}

fn advise(error: &BucketError, advice: &str) -> String {
    format!("{error}; {advice}")
}
