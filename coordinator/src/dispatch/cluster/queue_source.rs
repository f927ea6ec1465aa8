//! The cluster's queue as the source of shards of a worker pool.

use super::{
    connection::{Connection, ConnectionError},
    queue::JobQueue,
    queue_client::{Ending, Ends, QueueClient, Request},
};
use crate::{
    Task,
    dispatch::{
        DispatchError, Trouble,
        shard_source::{ShardSource, Sourced},
    },
};
use capfilt_schemas::{
    plan::ShardId,
    queue_protocol::{News, QueueNames, WorkerReport},
};
use capfilt_store::Location;
use std::{thread::JoinHandle, time::Duration};
use tokio::sync::{mpsc, watch};

/// Bound of the requests to the client's thread; a worker pool sends a few per shard and a report per second.
const SAID_BOUND: usize = 256;

/// Source of shards in the cluster's queue.
pub struct QueueSource {
    shards: mpsc::Receiver<Result<Task, DispatchError>>,
    /// End of the job, once it is known.
    ending: watch::Receiver<Option<Ending>>,
    trouble: watch::Receiver<Option<Trouble>>,
    say: mpsc::Sender<Request>,
    keeper: JoinHandle<()>,
    /// Whether a shard is requested and not yet received.
    has_asked: bool,
}

/// Reports the work of this worker pool to the cluster.
#[derive(Clone)]
pub struct Reporter(mpsc::Sender<Request>);

impl Reporter {
    /// Sends a report; without room it is dropped, because the next report contains more.
    pub fn alive(&self, report: WorkerReport) {
        let _ = self.0.try_send(Request::News(News::Alive(report)));
    }

    /// Sends news; without room they are dropped.
    pub fn news(&self, news: News) {
        let _ = self.0.try_send(Request::News(news));
    }
}

impl QueueSource {
    /// Starts the thread and connects.
    ///
    /// # Errors
    /// A server that refuses the connection or cannot be reached.
    pub async fn open(
        link: Connection,
        names: QueueNames,
        bucket: Location,
        attempts: u32,
    ) -> Result<Self, ConnectionError> {
        let (say, said) = mpsc::channel(SAID_BOUND);
        let (shards_in, shards) = mpsc::channel(1);
        let (ending_in, ending) = watch::channel(None);
        let (trouble_in, trouble) = watch::channel(None);
        let (connected_in, connected) = tokio::sync::oneshot::channel();
        let keeper = std::thread::Builder::new().name("queue".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system provides a timer and sockets");
            let ends = Ends { shards: shards_in, ending: ending_in, trouble: trouble_in };
            // Local tasks: nothing here leaves this thread.
            tokio::task::LocalSet::new().block_on(&runtime, async {
                match connect(link, names).await {
                    Err(error) => drop(connected_in.send(Err(error))),
                    Ok(queue) => {
                        let _ = connected_in.send(Ok(()));
                        QueueClient::new(queue, bucket, attempts, ends).keep(said).await;
                    }
                }
            });
        });
        let keeper = keeper.expect("the system provides one more thread");
        connected.await.expect("the thread answers before it ends")?;
        Ok(Self { shards, ending, trouble, say, keeper, has_asked: false })
    }

    /// Obstacle of this worker pool, now and later.
    pub fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.clone()
    }

    /// Reporter of this worker pool.
    pub fn reporter(&self) -> Reporter {
        Reporter(self.say.clone())
    }

    fn say(&self, what: Request) {
        // The thread drains the channel at once, so a full channel means that the thread is gone; the shard
        // is then delivered again after the ack wait.
        let _ = self.say.try_send(what);
    }
}

impl ShardSource for QueueSource {
    async fn next(&mut self, is_wanted: bool) -> Result<Sourced, DispatchError> {
        if is_wanted && !self.has_asked {
            // A request that found no room is repeated at the next call.
            self.has_asked = self.say.try_send(Request::MoreShards).is_ok();
        }
        let Self { shards, ending, has_asked, .. } = self;
        tokio::select! {
            biased;
            // A closed channel means that the client's thread is gone: no shard follows.
            ending = ending.wait_for(Option::is_some) => match ending.ok().and_then(|ending| ending.clone()) {
                Some(Ending::Settled) => Ok(Sourced::Settled),
                Some(Ending::Stopped { why }) => Err(DispatchError::Stopped { why }),
                None => Ok(Sourced::End),
            },
            next = shards.recv(), if is_wanted => {
                *has_asked = false;
                next.transpose().map(|task| task.map_or(Sourced::End, |task| Sourced::Task(Box::new(task))))
            }
        }
    }

    fn done(&mut self, shard: &ShardId) {
        self.say(Request::Done(shard.clone()));
    }

    fn keeps_failed(&self) -> bool {
        false
    }

    fn give_back(&mut self, shard: &ShardId, after: Duration) {
        self.say(Request::GiveBack(shard.clone(), after));
    }

    fn refuse(&mut self) {
        self.shards.close();
        self.say(Request::Refuse);
        while let Ok(arrived) = self.shards.try_recv() {
            if let Ok(task) = arrived {
                self.give_back(&task.shard.id, Duration::ZERO);
            }
        }
    }

    async fn close(self) {
        let Self { shards, say, keeper, .. } = self;
        drop(shards);
        let _ = say.send(Request::Close).await;
        // The thread ends, because all its waits are bounded.
        let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
    }
}

/// Connects to the job's queue.
async fn connect(link: Connection, names: QueueNames) -> Result<JobQueue, ConnectionError> {
    let url = link.shown();
    let client = link.connect(|waiting| tracing::warn!("{waiting}")).await?;
    let queue = JobQueue::new(client, names, url);
    // An account may lack JetStream although its server has it. Other errors may pass; the client waits for
    // them later.
    match queue.consumer().await {
        Err(error @ ConnectionError::NoJetStream { .. }) => Err(error),
        _ => Ok(queue),
    }
}
