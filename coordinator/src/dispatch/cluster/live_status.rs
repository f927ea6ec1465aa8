//! Observes a job's cluster without taking part: the depth of the queue, and the reports of worker pools.

use super::{
    connection::{Connection, ConnectionError},
    membership::Membership,
    queue::{Depth, JobQueue},
};
use async_nats::Subscriber;
use capfilt_schemas::queue_protocol::{InHand, News, QueueNames};
use futures::StreamExt as _;
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// A worker pool without a report for this time is not shown.
const GONE: Duration = Duration::from_secs(300);

/// An observer of a cluster.
pub struct Listener {
    queue: JobQueue,
    news: Subscriber,
    roster: Membership,
}

/// State of the cluster during an observation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Live {
    /// `None` without a queue: the job is over, has not begun, or its coordinator is starting.
    pub queue: Option<Depth>,
    /// Worker pools, in the order of their names.
    pub workers: Vec<LiveWorker>,
    /// Host and process number of every coordinator that reported during the observation.
    pub coordinators: BTreeSet<String>,
}

/// One worker pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveWorker {
    /// Name of the worker pool.
    pub worker: String,
    /// Devices of the worker pool.
    pub devices: Vec<String>,
    /// Devices whose models are loaded.
    pub devices_ready: usize,
    /// Shards that the worker pool holds.
    pub in_hand: Vec<InHand>,
    /// Rows that the pool finished since its start.
    pub rows: u64,
    /// Rows of its attempts that lost their shards to other attempts.
    pub wasted_rows: u64,
    /// Images per second since the start of the worker pool.
    pub images_per_second: f64,
    /// Seconds since the start of the worker pool.
    pub seconds_up: f64,
    /// Seconds since its last report.
    pub seconds_since_heard: f64,
}

impl Listener {
    /// Connects within `patience`: a command that shows a status must answer soon.
    ///
    /// # Errors
    /// A server that refuses the connection or does not answer in time.
    pub async fn open(
        link: &Connection,
        names: QueueNames,
        patience: Duration,
    ) -> Result<Self, ConnectionError> {
        let url = link.shown();
        let client = timeout(patience, link.connect(|_| ())).await.unwrap_or_else(|_| {
            let (waited, why) = (patience.as_secs(), "no answer".to_owned());
            Err(ConnectionError::Unreachable { url: url.clone(), waited, why })
        })?;
        let queue = JobQueue::new(client, names, url);
        let news = queue.listen().await?;
        Ok(Self { queue, news, roster: Membership::default() })
    }

    /// Collects messages for a while; worker pools report once per second.
    pub async fn listen(&mut self, duration: Duration) -> Live {
        let until = Instant::now() + duration;
        let mut coordinators = BTreeSet::new();
        while let Ok(Some(message)) = timeout_at(until, self.news.next()).await {
            match serde_json::from_slice(&message.payload) {
                Ok(News::Alive(report)) => drop(self.roster.hear(report)),
                Ok(News::Coordinating(report)) => drop(coordinators.insert(report.coordinator)),
                // Messages of another version are ignored.
                _ => {}
            }
        }
        self.roster.forget_silent(GONE);
        // A server that does not answer now is queried at the next call.
        let queue = self.queue.depth().await.ok().flatten();
        let workers = self.roster.heard().map(|(since, report)| LiveWorker::new(since, report)).collect();
        Live { queue, workers, coordinators }
    }
}

impl LiveWorker {
    fn new(since: Duration, report: &capfilt_schemas::queue_protocol::WorkerReport) -> Self {
        Self {
            worker: report.worker.clone(),
            devices: report.devices.clone(),
            devices_ready: report.devices_ready,
            in_hand: report.in_hand.clone(),
            rows: report.rows,
            wasted_rows: report.wasted_rows,
            images_per_second: report.tally.judged() as f64 / report.seconds_up.max(1e-3),
            seconds_up: report.seconds_up,
            seconds_since_heard: since.as_secs_f64(),
        }
    }
}
