//! A worker pool's client of the queue: takes shards on request, sends heartbeats for held shards, and
//! acknowledges or returns them.
//!
//! All traffic with NATS has its own thread, so that no work of this process can delay a heartbeat:
//!
//! ```text
//! pool ── more shards, done, give back, news ──▶ client ◀── puller (one pull at a time, on request)
//!      ◀─────────────── shards ────────────────    │ every 2 s: a heartbeat for each held shard
//! ```

use super::{
    connection::{Connection, ConnectionError},
    consumer::{Held, Pulled, pull},
    liveness::Liveness,
    queue::JobQueue,
    server_contact::contact,
};
use crate::{
    Task,
    dispatch::{
        DispatchError, Trouble,
        shard_source::{ShardSource, Sourced},
    },
};
use async_nats::{
    Message,
    jetstream::{self, AckKind},
};
use capfilt_schemas::{
    plan::ShardId,
    queue_protocol::{End, News, QueueNames, WorkerReport},
};
use capfilt_store::Location;
use futures::{StreamExt as _, stream::BoxStream};
use std::{rc::Rc, thread::JoinHandle, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

/// Bound of the requests to the client's thread; a worker pool sends a few per shard and a report per second.
const SAID_BOUND: usize = 256;

/// Interval of heartbeats: a third of the shortest ack wait.
const STILL_WORKING_EVERY: Duration = Duration::from_secs(2);

/// Longest wait of an acknowledgement for room in the library's queue, which a lost server leaves full.
const ACKNOWLEDGE: Duration = Duration::from_secs(1);

/// Longest time for sending the last acknowledgements.
const FLUSH: Duration = Duration::from_secs(5);

/// Requests of the worker pool to the client's thread.
enum Request {
    MoreShards,
    Done(ShardId),
    GiveBack(ShardId, Duration),
    News(News),
    /// No shard is wanted any more, not even a requested one.
    Refuse,
    /// No important request follows; a [`Reporter`] may outlive its source.
    Close,
}

/// End of a job.
#[derive(Debug, Clone)]
enum Ending {
    /// Every shard is committed or quarantined.
    Settled,
    Stopped {
        why: String,
    },
}

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
            // Local tasks: nothing here leaves this thread.
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let url = link.shown();
                match link.connect(|waiting| tracing::warn!("{waiting}")).await {
                    Err(error) => drop(connected_in.send(Err(error))),
                    Ok(client) => {
                        let queue = JobQueue::new(client, names, url);
                        // An account may lack JetStream although its server has it. Other errors may pass;
                        // the client waits for them later.
                        let without = match queue.consumer().await {
                            Err(error @ ConnectionError::NoJetStream { .. }) => Err(error),
                            _ => Ok(()),
                        };
                        let ends = without.is_err();
                        let _ = connected_in.send(without);
                        if !ends {
                            let (signs, held) = (Liveness::new(), Held::default());
                            let (shards, ending, trouble) = (shards_in, ending_in, trouble_in);
                            QueueClient { queue, bucket, attempts, held, shards, ending, signs, trouble }
                                .keep(said)
                                .await;
                        }
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

/// State of the client's thread.
struct QueueClient {
    queue: JobQueue,
    bucket: Location,
    attempts: u32,
    held: Held,
    shards: mpsc::Sender<Result<Task, DispatchError>>,
    ending: watch::Sender<Option<Ending>>,
    signs: Liveness,
    trouble: watch::Sender<Option<Trouble>>,
}

impl QueueClient {
    async fn keep(mut self, mut said: mpsc::Receiver<Request>) {
        let (want, wanted) = mpsc::channel(1);
        let (pulled_in, mut pulled) = mpsc::channel(1);
        let mut pulling = tokio::task::spawn_local(pull(
            self.queue.clone(),
            self.bucket.clone(),
            self.attempts,
            Rc::clone(&self.held),
            wanted,
            pulled_in,
        ));
        let mut ends = self.subscribe(self.queue.names.end()).await;
        let mut coordinators = self.subscribe(self.queue.names.coordinator()).await;
        let mut tick = interval(STILL_WORKING_EVERY);
        // After a suspension (laptop lid, SIGSTOP) one heartbeat is enough.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                said = said.recv() => match said {
                    // The puller takes one request at a time, and the pool sends one at a time.
                    Some(Request::MoreShards) => drop(want.try_send(())),
                    Some(Request::Refuse) => {
                        pulling.abort();
                        // The pull must be cancelled at the server before a shard is returned: the server
                        // would deliver the shard to this pool again.
                        let _ = (&mut pulling).await;
                        self.flush().await;
                    }
                    Some(Request::Close) | None => break,
                    Some(said) => self.take_in(said).await,
                },
                Some(pulled) = pulled.recv() => self.hand_over(pulled).await,
                Some(message) = ends.next() => self.end(&message.payload),
                Some(_) = coordinators.next() => self.signs.hear_coordinator(),
                _ = tick.tick() => {
                    self.trouble.send_replace(self.signs.look(&self.queue.client, &self.queue.url));
                    self.keep_alive().await;
                }
            }
        }
        pulling.abort();
        if self.is_connected() {
            for message in self.messages() {
                let _ = message.ack_with(AckKind::Nak(None)).await;
            }
        }
        self.flush().await;
    }

    /// Waits until all messages are sent. Without a connection they are not sent; the shards are then
    /// delivered again after the ack wait.
    async fn flush(&self) {
        if self.is_connected() {
            let _ = tokio::time::timeout(FLUSH, self.queue.client.flush()).await;
        }
    }

    fn is_connected(&self) -> bool {
        contact(&self.queue.client).is_ok()
    }

    /// Messages at a subject; an endless silence if the subscription fails.
    async fn subscribe(&self, subject: String) -> BoxStream<'static, Message> {
        match self.queue.client.subscribe(subject).await {
            Ok(messages) => messages.boxed(),
            Err(_) => futures::stream::pending().boxed(),
        }
    }

    /// A lost acknowledgement is harmless: the shard is delivered again, and its commit shows that it is
    /// done.
    async fn take_in(&mut self, said: Request) {
        let (message, kind) = match said {
            Request::MoreShards | Request::Refuse | Request::Close => return,
            // The library buffers unsent messages in bounded room; reports that reach no server must not fill
            // it.
            Request::News(_) if !self.is_connected() => return,
            Request::News(news) => {
                let payload = serde_json::to_vec(&news).expect("news are plain data");
                let _ = self.queue.client.publish(self.queue.names.news(), payload.into()).await;
                return;
            }
            Request::Done(shard) => (self.held.borrow_mut().remove(&shard), AckKind::Ack),
            Request::GiveBack(shard, after) => {
                (self.held.borrow_mut().remove(&shard), AckKind::Nak((!after.is_zero()).then_some(after)))
            }
        };
        if let Some(message) = message {
            let _ = tokio::time::timeout(ACKNOWLEDGE, message.ack_with(kind)).await;
        }
    }

    async fn hand_over(&mut self, pulled: Pulled) {
        match pulled {
            Pulled::Task(task) => {
                let shard = task.shard.id.clone();
                // A pool that wants no more shards has closed the channel.
                if self.shards.send(Ok(*task)).await.is_err() {
                    self.take_in(Request::GiveBack(shard, Duration::ZERO)).await;
                }
            }
            Pulled::Over => drop(self.ending.send_replace(Some(Ending::Settled))),
            Pulled::Foreign(foreign) => drop(self.shards.send(Err(foreign.into())).await),
        }
    }

    fn end(&mut self, payload: &[u8]) {
        let ending = match serde_json::from_slice(payload) {
            Ok(End::Done) => Ending::Settled,
            Ok(End::Stopped { why }) => Ending::Stopped { why },
            Err(error) => return tracing::warn!(%error, "a message of another version of capfilt is ignored"),
        };
        self.ending.send_replace(Some(ending));
    }

    fn messages(&self) -> Vec<jetstream::Message> {
        self.held.borrow().values().cloned().collect()
    }

    async fn keep_alive(&self) {
        if !self.is_connected() {
            return;
        }
        for message in self.messages() {
            let _ = message.ack_with(AckKind::Progress).await;
        }
    }
}
