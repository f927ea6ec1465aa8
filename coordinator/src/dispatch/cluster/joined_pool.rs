//! A worker pool that takes shards from a cluster's queue until the job has ended.

use super::{
    connection::{Connection, ConnectionError},
    pool_reports::PoolReports,
    queue_source::QueueSource,
};
use crate::{
    dispatch::{
        DispatchError, Observation, Orders, Outcome, Progress, Work,
        worker_pool::{self, WorkerPool},
    },
    job::{self, JobError},
    preflight::{self, Unfit},
    status::is_done,
};
use capfilt_schemas::{job::JobRecord, object_keys, queue_protocol::QueueNames};
use capfilt_store::{Location, StoreError};
use std::time::Duration;
use tokio::{process::Command, sync::watch, time::sleep};

/// Interval of the checks whether the job exists.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Reason why a worker pool cannot join a job.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum JoinError {
    #[error("cannot read the job's record")]
    Record(#[source] StoreError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A worker pool before its first shard.
pub struct JoinedPool<'a> {
    bucket: &'a Location,
    work: Work,
    feed: QueueSource,
}

impl<'a> JoinedPool<'a> {
    /// Waits until the job exists, checks the store and connects; `None` if the job is done. `say` receives
    /// lines for people.
    ///
    /// # Errors
    /// A job or a store that cannot be read, a store that cannot hold a job, and a server that refuses the
    /// connection.
    pub async fn join(
        bucket: &'a Location,
        connection: Connection,
        say: impl Fn(String),
    ) -> Result<Option<Self>, JoinError> {
        let record = wait_for_job(bucket, &say).await?;
        job::other_release(&record).into_iter().for_each(|warning| say(format!("warning: {warning}")));
        if is_done(bucket).await? {
            say("the job is done already".to_owned());
            return Ok(None);
        }
        preflight::require(bucket).await?;
        let mut orders = Orders::follow(bucket).await?;
        if orders.drain() {
            // A scheduler may restart a worker that a drain ended.
            say("the job is drained; waiting until it is resumed".to_owned());
            orders.until_resumed().await;
        }
        let attempts = record.settings.limits.attempts;
        let names = queue_names(bucket).await?;
        let feed = QueueSource::open(connection, names, bucket.clone(), attempts).await?;
        let work = Work { attempts, job: job::digest(bucket).await?, orders, ..Work::default() };
        Ok(Some(Self { bucket, work, feed }))
    }

    /// Processes shards until the job has ended. `name` has the host and the process number.
    ///
    /// # Errors
    /// As [`worker_pool::run`].
    pub async fn run(
        self,
        name: String,
        pool: WorkerPool<impl Fn(&str, usize) -> Command>,
        mut observe: impl FnMut(Observation<'_>),
        stop: watch::Receiver<bool>,
    ) -> Result<Outcome, DispatchError> {
        let Self { bucket, work, feed } = self;
        let mut reports = PoolReports::new(feed.reporter(), name, pool.devices.clone());
        let trouble = feed.trouble();
        let observe = |seen: Observation<'_>| {
            reports.take_in(&seen);
            let is_share = true;
            let seen_here = Progress { is_share, trouble: trouble.borrow().clone(), ..seen.progress.clone() };
            observe(Observation { progress: &seen_here, ..seen });
        };
        worker_pool::run(bucket, work, pool, feed, observe, stop).await
    }
}

/// Names of the queue of the job in a bucket.
///
/// # Errors
/// A job record that cannot be read.
pub async fn queue_names(bucket: &Location) -> Result<QueueNames, StoreError> {
    Ok(QueueNames::of(&bucket.read(object_keys::JOB).await?))
}

/// Waits until the job's record exists.
async fn wait_for_job(bucket: &Location, say: impl Fn(String)) -> Result<JobRecord, JoinError> {
    let mut has_printed = false;
    loop {
        if let Some(record) = job::find(bucket).await.map_err(JoinError::Record)? {
            return Ok(record);
        }
        if !has_printed {
            say(format!("there is no job at {} yet; waiting for it", bucket.url));
            has_printed = true;
        }
        sleep(CHECK_EVERY).await;
    }
}
