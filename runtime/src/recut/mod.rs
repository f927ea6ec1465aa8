//! Cuts of a job: other thresholds and rules than the job's, decided from the ledgers without a model.

#[cfg(feature = "arguments")]
mod arguments;
mod counts;
mod request;
mod thresholds;
mod write;

#[cfg(feature = "arguments")]
pub use arguments::RecutArgs;
pub use counts::{Counts, Preview};
pub use request::{OfSource, Request, Share};
pub use write::Made;

use crate::{devices, release};
use anyhow::anyhow;
use capfilt_console::{ExitCodeExt as _, Failure, Progress};
use capfilt_coordinator::outputs::{OutputsError, Version, outputs};
use capfilt_pipeline::cut::{Cut, CutError};
use capfilt_schemas::{
    cut::CutName, job::JobRecord, ledger::CONTROL_CLIP, manifest::Manifest, object_keys::Table, plan::Shard,
};
use capfilt_store::{Location, without_secrets};
use capfilt_workers::ShardLedger;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::sync::Arc;

/// Ledgers at a time of which some columns are read. Memory of each: a row group's pages of these columns, at
/// most 128 MB.
const COLUMNS_AT_ONCE: usize = 32;

/// Decides the texts of a job's newest version by other rules, counts the result, and with a name writes the
/// cut; with `materialise`, the tables of the cut have the images.
///
/// # Errors
/// An unfinished job, a request that the job cannot fulfil, ledgers or an input that cannot be read, another
/// cut of the name, and a failing store.
pub async fn run(
    bucket: Location,
    request: &Request,
    name: Option<&CutName>,
    materialise: bool,
) -> Result<Outcome, Failure> {
    let ledgers = Ledgers::open(bucket).await?;
    let preview = ledgers.preview(request).await?;
    preview.check().or_environment_error()?;
    let made = match name {
        Some(name) => Some(write::write(&ledgers, &preview, name, materialise).await?),
        None => None,
    };
    Ok(Outcome { preview, made })
}

/// A decided cut and, if it has a name, its record.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The rules and the counts.
    pub preview: Preview,
    /// The cut in the bucket; `None` without a name.
    pub made: Option<Made>,
}

impl Outcome {
    /// Lines for people; `bucket` is the location of the job.
    pub fn lines(&self, bucket: &str) -> Vec<String> {
        let mut lines = self.preview.lines();
        match &self.made {
            None => lines.push("nothing is written; --name NAME writes the cut".to_owned()),
            Some(made) => lines.extend(made.lines(bucket)),
        }
        lines
    }

    /// The same as a JSON object.
    pub fn to_json(&self) -> Value {
        let mut json = self.preview.to_json();
        if let Some(made) = &self.made {
            json["cut"] = json!({
                "name": made.record.name, "is_new": made.is_new, "images": made.record.images,
                "pairs": made.record.tally.pairs, "images_lost": made.record.images_lost,
            });
        }
        json
    }
}

/// The newest version of a finished job, with its ledgers.
#[derive(Debug, Clone)]
struct Ledgers {
    /// Location of the job.
    bucket: Location,
    /// The job.
    job: JobRecord,
    /// The version.
    manifest: Manifest,
    /// Ledgers of the shards, in plan order.
    shards: Vec<ShardLedger>,
}

impl Ledgers {
    /// Reads the records of the newest version.
    ///
    /// # Errors
    /// An unfinished job, damaged records, and a failing store.
    async fn open(bucket: Location) -> Result<Self, Failure> {
        release::warn_of(&bucket).await;
        let mut shards = Vec::new();
        let found = outputs(&bucket, Version::Newest, |shard: &Shard, one| {
            let ledger = one.commit.outputs.iter().find(|output| output.table == Table::Ledger);
            let batch = (one.commit.batch as usize).max(1);
            shards.extend(ledger.map(|ledger| ShardLedger {
                shard: shard.clone(),
                ledger: ledger.clone(),
                batch,
            }));
        });
        let found = match found.await {
            Err(error @ OutputsError::Location(_)) => Err(error).or_environment_error(),
            found => found.or_usage_error(),
        }?;
        let unfinished = || OutputsError::Unfinished { url: without_secrets(&bucket.url) };
        let manifest = found.manifest.ok_or_else(unfinished).or_usage_error()?;
        Ok(Self { bucket, job: found.job, manifest, shards })
    }

    /// Decides the texts by the request and counts the result. Nothing is written.
    ///
    /// # Errors
    /// A request that the job cannot fulfil, and ledgers that cannot be read.
    async fn preview(&self, request: &Request) -> Result<Preview, Failure> {
        let rules = thresholds::resolve(self, request).await?;
        let cut = Arc::new(Cut::new(rules).map_err(of_options).or_usage_error()?);
        let of_clip = ["clip", CONTROL_CLIP].into_iter().find(|column| cut.names(column));
        if let (Some(column), None) = (of_clip, &self.job.settings.models.clip) {
            let why = anyhow!("--where names `{column}`, but the job has no CLIP scores (no models.clip)");
            return Err(why).or_usage_error();
        }
        let mut counts = Counts::default();
        let counting = |of: ShardLedger| counts::of_ledger(self.bucket.clone(), of, Arc::clone(&cut));
        self.each(("counting", COLUMNS_AT_ONCE), counting, |one| counts.merge(&one)).await?;
        Ok(Preview { cut, counts, manifest: self.manifest.clone() })
    }

    /// Runs `work` over the ledgers, at most `at_once` at a time and not more than the machine has cores, and
    /// passes the results to `take` in plan order. `doing` names the work in the progress.
    async fn each<T, F>(
        &self,
        (doing, at_once): (&str, usize),
        work: impl Fn(ShardLedger) -> F,
        mut take: impl FnMut(T),
    ) -> Result<(), Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let all = self.shards.len() as u64;
        // A task starts when it is created, and the iterator creates it only when the bound allows it.
        let tasks = self.shards.iter().map(|shard| tokio::spawn(work(shard.clone())));
        let mut results = stream::iter(tasks).buffered(devices::cores().min(at_once));
        let mut bar = Progress::start("{msg} {bar:24} {pos}/{len} shards  {eta} left");
        let mut done = 0;
        let ended = loop {
            match results.next().await {
                None => break Ok(()),
                Some(Err(panicked)) => break Err(panicked.into()),
                Some(Ok(Err(error))) => break Err(error),
                Some(Ok(Ok(result))) => take(result),
            }
            done += 1;
            bar.show(done, all, doing.to_owned(), |doing| format!("{doing}: {done}/{all} shards"));
        };
        bar.finish();
        ended.or_environment_error()
    }
}

/// Reason why the work on a shard failed.
type Failed = anyhow::Error;

/// Names the option instead of the setting in an error of a condition.
fn of_options(error: CutError) -> anyhow::Error {
    anyhow!(error.to_string().replace("input.where", "--where"))
}
