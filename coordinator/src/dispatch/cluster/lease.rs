//! A worker's side of the queue: shards taken when they are wanted, kept alive while they are worked on, and settled.
//!
//! Everything that talks to NATS lives on a thread of its own, so that nothing this process does can starve a heartbeat:
//!
//! ```text
//! crew ── wants, done, give back, report ──▶ keeper ◀── puller (one pull at a time, when one is wanted)
//!      ◀────────── shards ──────────────────   │ every two seconds: "still working" for all that is held
//! ```

use super::{
    link::{Link, LinkError},
    pull::{Held, Pulled, pull},
    queue::JobQueue,
};
use crate::{
    Task,
    dispatch::{DispatchError, feed::Feed},
};
use async_nats::jetstream::{AckKind, Message};
use capfilt_bucket::Bucket;
use capfilt_schemas::{
    cluster::{End, News, QueueNames, WorkerReport},
    plan::ShardId,
};
use futures::StreamExt as _;
use std::{rc::Rc, thread::JoinHandle, time::Duration};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

/// Messages to the keeper that wait to be taken in; a worker says a few per shard and a report per second.
const SAID_BOUND: usize = 256;

/// How often the server is told that a shard is being worked on. A third of the shortest ack wait there is.
const STILL_WORKING_EVERY: Duration = Duration::from_secs(2);

/// How long the last acknowledgements may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// What the crew tells the keeper.
enum Say {
    Want,
    Done(ShardId),
    GiveBack(ShardId, Duration),
    News(News),
    /// No shard is wanted any more, not even one that was asked for.
    Refuse,
    /// Nothing follows that matters; a [`Reporter`] may outlive its feed.
    Close,
}

/// Shards from the cluster's queue.
pub struct QueueFeed {
    shards: mpsc::Receiver<Result<Task, DispatchError>>,
    say: mpsc::Sender<Say>,
    keeper: JoinHandle<()>,
    /// Whether a shard is asked for and on its way.
    has_asked: bool,
}

/// Tells the cluster what this worker does.
#[derive(Clone)]
pub struct Reporter(mpsc::Sender<Say>);

impl Reporter {
    /// A report that finds no room is dropped: the next one says more.
    pub fn alive(&self, report: WorkerReport) {
        let _ = self.0.try_send(Say::News(News::Alive(report)));
    }

    pub fn news(&self, news: News) {
        let _ = self.0.try_send(Say::News(news));
    }
}

impl QueueFeed {
    /// Starts the thread and connects.
    ///
    /// # Errors
    /// When NATS refuses us or is not there.
    pub async fn open(link: Link, names: QueueNames, bucket: Bucket, attempts: u32) -> Result<Self, LinkError> {
        let (say, said) = mpsc::channel(SAID_BOUND);
        let (shards_in, shards) = mpsc::channel(1);
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
                        let _ = connected_in.send(Ok(()));
                        Keeper { queue, bucket, attempts, held: Held::default(), shards: shards_in }.keep(said).await;
                    }
                }
            });
        });
        let keeper = keeper.expect("the system gives one more thread");
        connected.await.expect("the thread answers before it ends")?;
        Ok(Self { shards, say, keeper, has_asked: false })
    }

    pub fn reporter(&self) -> Reporter {
        Reporter(self.say.clone())
    }

    fn say(&self, what: Say) {
        // The keeper drains its messages at once, so a full channel means it is gone; the ack wait then does its work.
        let _ = self.say.try_send(what);
    }
}

impl Feed for QueueFeed {
    async fn next(&mut self) -> Result<Option<Task>, DispatchError> {
        if !self.has_asked {
            // A wish that found no room is made again at the next call.
            self.has_asked = self.say.try_send(Say::Want).is_ok();
        }
        let next = self.shards.recv().await;
        self.has_asked = false;
        next.transpose()
    }

    fn done(&mut self, shard: &ShardId) {
        self.say(Say::Done(shard.clone()));
    }

    fn keeps_failed(&self) -> bool {
        false
    }

    fn give_back(&mut self, shard: &ShardId, after: Duration) {
        self.say(Say::GiveBack(shard.clone(), after));
    }

    fn refuse(&mut self) {
        self.shards.close();
        self.say(Say::Refuse);
        while let Ok(arrived) = self.shards.try_recv() {
            if let Ok(task) = arrived {
                self.give_back(&task.shard.id, Duration::ZERO);
            }
        }
    }

    async fn close(self) {
        let Self { shards, say, keeper, .. } = self;
        drop(shards);
        let _ = say.send(Say::Close).await;
        // It ends by itself: all its waits are bounded.
        let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
    }
}

/// The thread's state.
struct Keeper {
    queue: JobQueue,
    bucket: Bucket,
    attempts: u32,
    held: Held,
    shards: mpsc::Sender<Result<Task, DispatchError>>,
}

impl Keeper {
    async fn keep(mut self, mut said: mpsc::Receiver<Say>) {
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
        let mut ends = self.queue.client.subscribe(self.queue.names.end()).await.ok();
        let mut tick = interval(STILL_WORKING_EVERY);
        // After a stop (a laptop's lid, SIGSTOP) one heartbeat is enough.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let end = async {
                match &mut ends {
                    Some(ends) => ends.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                said = said.recv() => match said {
                    // The puller takes one wish at a time; the crew has one at a time.
                    Some(Say::Want) => drop(want.try_send(())),
                    Some(Say::Refuse) => {
                        pulling.abort();
                        // The server must know that we wait for nothing before a shard goes back: it would be ours again.
                        let _ = (&mut pulling).await;
                        let _ = tokio::time::timeout(FLUSH, self.queue.client.flush()).await;
                    }
                    Some(Say::Close) | None => break,
                    Some(said) => self.take_in(said).await,
                },
                Some(pulled) = pulled.recv() => self.hand_over(pulled).await,
                Some(message) = end => self.end(&message.payload).await,
                _ = tick.tick() => self.keep_alive().await,
            }
        }
        pulling.abort();
        for message in self.messages() {
            let _ = message.ack_with(AckKind::Nak(None)).await;
        }
        let _ = tokio::time::timeout(FLUSH, self.queue.client.flush()).await;
    }

    /// A lost answer does no harm: the message comes again, and the commit says that it is done.
    async fn take_in(&mut self, said: Say) {
        let (message, kind) = match said {
            Say::Want | Say::Refuse | Say::Close => return,
            Say::News(news) => {
                let payload = serde_json::to_vec(&news).expect("news are plain data");
                let _ = self.queue.client.publish(self.queue.names.news(), payload.into()).await;
                return;
            }
            Say::Done(shard) => (self.held.borrow_mut().remove(&shard), AckKind::Ack),
            Say::GiveBack(shard, after) => {
                (self.held.borrow_mut().remove(&shard), AckKind::Nak((!after.is_zero()).then_some(after)))
            }
        };
        if let Some(message) = message {
            let _ = message.ack_with(kind).await;
        }
    }

    async fn hand_over(&mut self, pulled: Pulled) {
        match pulled {
            Pulled::Task(task) => {
                let shard = task.shard.id.clone();
                // A crew that wants nothing any more has closed the channel.
                if self.shards.send(Ok(*task)).await.is_err() {
                    self.take_in(Say::GiveBack(shard, Duration::ZERO)).await;
                }
            }
            Pulled::Over => {
                // A closed channel says that nothing follows.
                self.shards = mpsc::channel(1).0;
            }
            Pulled::Foreign(foreign) => drop(self.shards.send(Err(foreign.into())).await),
        }
    }

    async fn end(&mut self, payload: &[u8]) {
        match serde_json::from_slice(payload) {
            Ok(End::Done) => self.shards = mpsc::channel(1).0,
            Ok(End::Stopped { why }) => {
                let _ = self.shards.send(Err(DispatchError::Stopped { why })).await;
            }
            Err(error) => tracing::warn!(%error, "a message of another version of capfilt"),
        }
    }

    fn messages(&self) -> Vec<Message> {
        self.held.borrow().values().cloned().collect()
    }

    async fn keep_alive(&self) {
        for message in self.messages() {
            let _ = message.ack_with(AckKind::Progress).await;
        }
    }
}
