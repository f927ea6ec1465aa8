//! Listening to a job's cluster without taking part: how full the queue is, and what the workers say they do.

use super::{
    connection::{Connection, ConnectionError},
    membership::Membership,
    queue::{Depth, JobQueue},
};
use async_nats::Subscriber;
use capfilt_schemas::cluster::{InHand, News, QueueNames};
use futures::StreamExt as _;
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// A worker that said nothing for so long is not shown any more.
const GONE: Duration = Duration::from_secs(300);

/// Somebody who listens.
pub struct Listener {
    queue: JobQueue,
    news: Subscriber,
    roster: Membership,
}

/// What was heard.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Live {
    /// `None` when there is no queue: the job is over, not begun, or its coordinator is on the way.
    pub queue: Option<Depth>,
    pub workers: Vec<LiveWorker>,
    /// Host and process number of every coordinator that was heard while listening.
    pub coordinators: BTreeSet<String>,
}

/// One worker process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveWorker {
    pub worker: String,
    pub devices: Vec<String>,
    /// Devices whose models are loaded.
    pub devices_ready: usize,
    pub in_hand: Vec<InHand>,
    /// Rows it did since it began.
    pub rows: u64,
    /// Rows it did for nothing: its attempts lost their shards to others.
    pub wasted_rows: u64,
    pub images_per_second: f64,
    pub seconds_up: f64,
    pub seconds_since_heard: f64,
}

impl Listener {
    /// Connects, for as long as `patience` lasts: whoever asks for a status wants an answer.
    ///
    /// # Errors
    /// When NATS refuses us or does not answer in time.
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

    /// Listens for a while; workers report once a second.
    pub async fn listen(&mut self, duration: Duration) -> Live {
        let until = Instant::now() + duration;
        let mut coordinators = BTreeSet::new();
        while let Ok(Some(message)) = timeout_at(until, self.news.next()).await {
            match serde_json::from_slice(&message.payload) {
                Ok(News::Alive(report)) => drop(self.roster.hear(report)),
                Ok(News::Coordinating(report)) => drop(coordinators.insert(report.coordinator)),
                // News of another version are none of ours.
                _ => {}
            }
        }
        self.roster.forget_silent(GONE);
        // A server that does not answer now is asked again the next time.
        let queue = self.queue.depth().await.ok().flatten();
        let workers = self.roster.heard().map(|(since, report)| LiveWorker::new(since, report)).collect();
        Live { queue, workers, coordinators }
    }
}

impl LiveWorker {
    fn new(since: Duration, report: &capfilt_schemas::cluster::WorkerReport) -> Self {
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
