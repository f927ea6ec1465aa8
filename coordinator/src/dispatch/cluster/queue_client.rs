//! A worker's side of the queue: shards taken when they are wanted, kept alive while they are worked on, and
//! settled.
//!
//! Everything that talks to NATS lives on a thread of its own, so that nothing this process does can starve a
//! heartbeat:
//!
//! ```text
//! crew ── wants, done, give back, report ──▶ keeper ◀── puller (one pull at a time, when one is wanted)
//!      ◀────────── shards ──────────────────   │ every two seconds: "still working" for all that is held
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
use capfilt_bucket::Bucket;
use capfilt_schemas::{
    cluster::{End, News, QueueNames, WorkerReport},
    plan::ShardId,
};
use futures::{StreamExt as _, stream::BoxStream};
use std::{rc::Rc, thread::JoinHandle, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

/// Messages to the keeper that wait to be taken in; a worker says a few per shard and a report per second.
const SAID_BOUND: usize = 256;

/// How often the server is told that a shard is being worked on. A third of the shortest ack wait there is.
const STILL_WORKING_EVERY: Duration = Duration::from_secs(2);

/// How long one acknowledgement may wait for room in the library's queue, which a lost server leaves full.
const ACKNOWLEDGE: Duration = Duration::from_secs(1);

/// How long the last acknowledgements may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// What the crew tells the keeper.
enum Request {
    MoreShards,
    Done(ShardId),
    GiveBack(ShardId, Duration),
    News(News),
    /// No shard is wanted any more, not even one that was asked for.
    Refuse,
    /// NoMore follows that matters; a [`Reporter`] may outlive its feed.
    Close,
}

/// How a job ended.
#[derive(Debug, Clone)]
enum Ending {
    /// Every shard has its result, or is set aside.
    Settled,
    Stopped {
        why: String,
    },
}

/// Shards from the cluster's queue.
pub struct QueueSource {
    shards: mpsc::Receiver<Result<Task, DispatchError>>,
    /// Whether the job is over, and how.
    ending: watch::Receiver<Option<Ending>>,
    trouble: watch::Receiver<Option<Trouble>>,
    say: mpsc::Sender<Request>,
    keeper: JoinHandle<()>,
    /// Whether a shard is asked for and on its way.
    has_asked: bool,
}

/// Tells the cluster what this worker does.
#[derive(Clone)]
pub struct Reporter(mpsc::Sender<Request>);

impl Reporter {
    /// A report that finds no room is dropped: the next one says more.
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
    /// When NATS refuses us or is not there.
    pub async fn open(
        link: Connection,
        names: QueueNames,
        bucket: Bucket,
        attempts: u32,
    ) -> Result<Self, ConnectionError> {
        let (say, said) = mpsc::channel(SAID_BOUND);
        let (shards_in, shards) = mpsc::channel(1);
        let (ending_in, ending) = watch::channel(None);
        let (trouble_in, trouble) = watch::channel(None);
        let (connected_in, connected) = tokio::sync::oneshot::channel();
        let keeper = std::thread::Builder::new().name("queue".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system gives a thread its timer and its sockets");
            // Local tasks: nothing here ever leaves this thread.
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let url = link.shown();
                match link.connect(|waiting| tracing::warn!("{waiting}")).await {
                    Err(error) => drop(connected_in.send(Err(error))),
                    Ok(client) => {
                        let queue = JobQueue::new(client, names, url);
                        // An account may have no JetStream although its server has; all else is waited for
                        // later.
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
        let keeper = keeper.expect("the system gives one more thread");
        connected.await.expect("the thread answers before it ends")?;
        Ok(Self { shards, ending, trouble, say, keeper, has_asked: false })
    }

    /// What keeps this worker from getting on, now and later.
    pub fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.clone()
    }

    pub fn reporter(&self) -> Reporter {
        Reporter(self.say.clone())
    }

    fn say(&self, what: Request) {
        // The keeper drains its messages at once, so a full channel means it is gone; the ack wait then does
        // its work.
        let _ = self.say.try_send(what);
    }
}

impl ShardSource for QueueSource {
    async fn next(&mut self, is_wanted: bool) -> Result<Sourced, DispatchError> {
        if is_wanted && !self.has_asked {
            // A wish that found no room is made again at the next call.
            self.has_asked = self.say.try_send(Request::MoreShards).is_ok();
        }
        let Self { shards, ending, has_asked, .. } = self;
        tokio::select! {
            biased;
            // A keeper that is gone hands out nothing any more.
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
        // It ends by itself: all its waits are bounded.
        let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
    }
}

/// The thread's state.
struct QueueClient {
    queue: JobQueue,
    bucket: Bucket,
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
        // After a stop (a laptop's lid, SIGSTOP) one heartbeat is enough.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                said = said.recv() => match said {
                    // The puller takes one wish at a time; the crew has one at a time.
                    Some(Request::MoreShards) => drop(want.try_send(())),
                    Some(Request::Refuse) => {
                        pulling.abort();
                        // The server must know that we wait for nothing before a shard goes back: it would be
                        // ours again.
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

    /// Waits until what was said has left. Without a connection it leaves never, and the ack wait does its
    /// work.
    async fn flush(&self) {
        if self.is_connected() {
            let _ = tokio::time::timeout(FLUSH, self.queue.client.flush()).await;
        }
    }

    fn is_connected(&self) -> bool {
        contact(&self.queue.client).is_ok()
    }

    /// Messages at a subject; none where they cannot be had.
    async fn subscribe(&self, subject: String) -> BoxStream<'static, Message> {
        match self.queue.client.subscribe(subject).await {
            Ok(messages) => messages.boxed(),
            Err(_) => futures::stream::pending().boxed(),
        }
    }

    /// A lost answer does no harm: the message comes again, and the commit says that it is done.
    async fn take_in(&mut self, said: Request) {
        let (message, kind) = match said {
            Request::MoreShards | Request::Refuse | Request::Close => return,
            // The library keeps what cannot be sent, and its room is bounded: news that nobody hears are not
            // worth it.
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
                // A crew that wants nothing any more has closed the channel.
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
            Err(error) => return tracing::warn!(%error, "a message of another version of capfilt"),
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
