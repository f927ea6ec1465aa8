//! The execution of a planned job, from its open shards to its manifest.

use crate::{cluster, devices::DevicePlan, local_job, models, worker_processes};
use capfilt_console::{self as console, ExitCodeExt as _, Failure, shutdown};
use capfilt_coordinator::{
    JobError, JobState, control,
    dispatch::{
        Orders, Outcome, Report,
        cluster::{Connection, CoordinatedJob, JobQueue},
        kept,
        local::RetryPolicy,
    },
    job,
    manifest::{self, Sealed},
    metrics::SharedMetrics,
};
use capfilt_schemas::{
    job::JobRecord, manifest::Manifest, plan::Shard, queue_protocol::WorkerReport, status::RowStatus,
    tally::Tally,
};
use capfilt_store::Location;
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;

/// A job with the inputs of its execution.
pub struct OpenJob<'a> {
    /// Location of the job.
    pub bucket: &'a Location,
    /// Frozen settings and digests.
    pub record: &'a JobRecord,
    /// All shards.
    pub plan: &'a [Shard],
    /// Devices of this machine.
    pub devices: &'a [DevicePlan],
    /// Metrics of this process.
    pub metrics: SharedMetrics,
    /// Warnings that were printed when the job was opened.
    pub warned: &'a [String],
    /// The queue that hands out the shards.
    pub queue: QueueChoice,
}

/// The queue that hands out the shards: in memory, or of a cluster.
#[derive(Debug, Clone)]
pub struct QueueChoice {
    /// The NATS servers of a cluster; `None`: this machine alone.
    pub link: Option<Connection>,
    /// A shard of a cluster without a heartbeat for this time goes to another worker.
    pub ack_wait: Duration,
    /// Whether the cluster's queue stays after the job is done.
    pub keep_queue: bool,
}

/// A finished job.
#[derive(Debug)]
pub struct Finished {
    /// The manifest.
    pub sealed: Sealed,
    /// Shards that idle workers copied.
    pub copied_shards: u64,
    /// Rows of attempts that lost their shard to another attempt.
    pub wasted_rows: u64,
}

impl Finished {
    /// Whether every row of every file has a result.
    pub fn is_whole(&self) -> bool {
        let Manifest { quarantined, tally, refused, .. } = &self.sealed.manifest;
        quarantined.is_empty() && refused.is_empty() && tally.failed() == 0
    }

    /// The counts as a JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let manifest = &self.sealed.manifest;
        json!({
            "manifest": self.sealed.url, "rows": manifest.rows, "shards": manifest.shards,
            "tally": manifest.tally, "quarantined_shards": manifest.quarantined.len(),
            "refused_files": manifest.refused.len(), "copied_shards": self.copied_shards,
            "wasted_rows": self.wasted_rows,
        })
    }

    /// The counts as lines for people.
    pub fn lines(&self) -> Vec<String> {
        let Manifest { rows, tally, refused, quarantined, .. } = &self.sealed.manifest;
        let mut lines = vec![format!("{rows} rows, {} pairs; {}", tally.pairs, kept(tally))];
        lines.extend(nothing_judged(tally));
        if self.wasted_rows > 0 {
            let wasted = self.wasted_rows;
            lines.push(format!("{wasted} wasted rows, of workers that lost their shard to another worker"));
        }
        lines.extend(refused.iter().map(|file| format!("refused {}: {}", file.path, file.reason)));
        lines.extend(quarantined.iter().map(|shard| {
            format!("quarantined shard {} ({} rows): {}", shard.shard, shard.rows, shard.reason)
        }));
        lines
    }
}

/// A sentence about a job whose rows all failed: usually the name of a column is wrong, which a plan cannot
/// see in a tar or a table of records.
fn nothing_judged(tally: &Tally) -> Option<String> {
    let statuses: Vec<String> =
        tally.rows.iter().map(|(status, rows)| format!("{rows} {}", status.as_str())).collect();
    let mut selected = tally.rows.keys().filter(|status| **status != RowStatus::NotSelected).peekable();
    (selected.peek().is_some() && selected.all(|status| *status != RowStatus::Judged)).then(|| {
        format!(
            "no image was judged: {}; is input.image the column with the image, or the suffix of its member \
             in a tar?",
            statuses.join(", ")
        )
    })
}

/// A job without an open shard.
struct Processed {
    job_state: JobState,
    machines: Vec<WorkerReport>,
    copied_shards: u64,
    wasted_rows: u64,
}

impl OpenJob<'_> {
    /// Processes all remaining shards and writes the manifest; `None` after a stop.
    ///
    /// # Errors
    /// An environment in which no shard can succeed, and a failing store.
    pub async fn finish(&self, stop: watch::Receiver<bool>) -> Result<Option<Finished>, Failure> {
        let queue = match &self.queue.link {
            Some(link) => {
                let connecting = shutdown::unless(&stop, cluster::queue(link, self.bucket));
                let Some(queue) = connecting.await.transpose()? else { return Ok(None) };
                Some(queue)
            }
            None => None,
        };
        let name = worker_processes::process_name();
        let resuming = control::end_drain(self.bucket, &name);
        if shutdown::unless(&stop, resuming).await.transpose().or_environment_error()?.is_none() {
            return Ok(None);
        }
        let Some(processed) = self.process(queue.as_ref(), &stop).await? else { return Ok(None) };
        if shutdown::unless(&stop, self.name_input_changes()).await.is_none() {
            return Ok(None);
        }
        let sealing = manifest::seal(self.bucket, self.record, self.plan, &processed.job_state);
        let sealed = shutdown::unless(&stop, sealing).await.transpose().or_environment_error()?;
        let Some(sealed) = sealed else { return Ok(None) };
        let Processed { machines, copied_shards, mut wasted_rows, .. } = processed;
        if let Some(queue) = &queue {
            wasted_rows += cluster::end(queue, &machines, self.queue.keep_queue).await;
        }
        Ok(Some(Finished { sealed, copied_shards, wasted_rows }))
    }

    /// Processes shards until no shard is open.
    async fn process(
        &self,
        queue: Option<&JobQueue>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<Processed>, Failure> {
        let Self { bucket, record, plan, .. } = *self;
        let (mut copied_shards, mut wasted_rows) = (0, 0);
        loop {
            let Outcome::Finished(report) = self.dispatch(queue, stop).await? else { return Ok(None) };
            copied_shards += report.copies;
            wasted_rows += report.wasted_rows;
            let job_state =
                shutdown::unless(stop, JobState::read(bucket)).await.transpose().or_environment_error()?;
            let Some(job_state) = job_state else { return Ok(None) };
            // A concurrent `capfilt retry` may have opened shards.
            if job_state.remaining(plan, record.settings.limits.attempts).next().is_none() {
                return Ok(Some(Processed {
                    job_state,
                    machines: report.machines,
                    copied_shards,
                    wasted_rows,
                }));
            }
        }
    }

    /// Hands out the open shards once, to the cluster or to this machine.
    async fn dispatch(
        &self,
        queue: Option<&JobQueue>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Outcome, Failure> {
        let Self { bucket, record, plan, devices, ref metrics, .. } = *self;
        let (metrics, stop, ack_wait) = (metrics.clone(), stop.clone(), self.queue.ack_wait);
        let Some(queue) = queue else {
            let policy = RetryPolicy::default();
            return local_job::process(bucket, record, plan, devices, policy, metrics, stop).await;
        };
        let (name, queue) = (worker_processes::process_name(), queue.clone());
        let orders =
            shutdown::unless(&stop, Orders::follow(bucket)).await.transpose().or_environment_error()?;
        let Some(orders) = orders else { return Ok(Outcome::Interrupted(Report::default())) };
        let load_models = models::load_here;
        let job = CoordinatedJob { name, bucket, record, plan, queue, orders, ack_wait, load_models };
        cluster::coordinate(job, metrics, stop).await
    }

    /// Lists the input once more and warns of files that changed during the job, because some stores do not
    /// report a change on reads. Committed rows were read from the planned files and stay.
    async fn name_input_changes(&self) {
        let settings = &self.record.settings;
        let changes = async {
            let input = Location::open(&settings.input.url)?;
            Ok::<_, JobError>(job::input_changes(&input, &settings.job.url, self.record, self.plan).await?)
        };
        match changes.await {
            Ok(changes) => {
                let is_known =
                    |change: &String| self.warned.iter().any(|warning| warning.starts_with(change.as_str()));
                let texts = changes.iter().map(ToString::to_string).filter(|change| !is_known(change));
                texts.for_each(|change| {
                    console::line(format!("warning: {change}, while the job was worked on"))
                });
            }
            Err(error) => {
                console::line(format!("warning: cannot check whether the input changed meanwhile: {error}"))
            }
        }
    }
}
