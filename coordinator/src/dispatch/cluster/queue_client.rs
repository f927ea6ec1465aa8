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
    consumer::{Held, Pulled, pull},
    liveness::Liveness,
    queue::JobQueue,
    server_contact::contact,
};
use crate::{
    Task,
    dispatch::{DispatchError, Trouble},
};
use async_nats::{
    Message,
    jetstream::{self, AckKind},
};
use capfilt_schemas::{
    plan::ShardId,
    queue_protocol::{End, News},
};
use capfilt_store::Location;
use futures::{StreamExt as _, stream::BoxStream};
use std::{rc::Rc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

/// Interval of heartbeats: a third of the shortest ack wait.
const STILL_WORKING_EVERY: Duration = Duration::from_secs(2);

/// Longest wait of an acknowledgement for room in the library's queue, which a lost server leaves full.
const ACKNOWLEDGE: Duration = Duration::from_secs(1);

/// Longest time for sending the last acknowledgements.
const FLUSH: Duration = Duration::from_secs(5);

/// Requests of the worker pool to the client's thread.
pub(super) enum Request {
    MoreShards,
    Done(ShardId),
    GiveBack(ShardId, Duration),
    News(News),
    /// No shard is wanted any more, not even a requested one.
    Refuse,
    /// No important request follows; a reporter may outlive its source.
    Close,
}

/// End of a job.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// Every shard is committed or quarantined.
    Settled,
    Stopped {
        why: String,
    },
}

/// The client's ends of the channels to the worker pool.
pub(super) struct Ends {
    pub shards: mpsc::Sender<Result<Task, DispatchError>>,
    pub ending: watch::Sender<Option<Ending>>,
    pub trouble: watch::Sender<Option<Trouble>>,
}

/// State of the client's thread.
pub(super) struct QueueClient {
    queue: JobQueue,
    bucket: Location,
    attempts: u32,
    held: Held,
    signs: Liveness,
    pool: Ends,
}

impl QueueClient {
    pub(super) fn new(queue: JobQueue, bucket: Location, attempts: u32, pool: Ends) -> Self {
        Self { queue, bucket, attempts, held: Held::default(), signs: Liveness::new(), pool }
    }

    /// Serves the worker pool until it closes the channel.
    pub(super) async fn keep(mut self, mut said: mpsc::Receiver<Request>) {
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
                    self.pool.trouble.send_replace(self.signs.look(&self.queue.client, &self.queue.url));
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
                if self.pool.shards.send(Ok(*task)).await.is_err() {
                    self.take_in(Request::GiveBack(shard, Duration::ZERO)).await;
                }
            }
            Pulled::Over => drop(self.pool.ending.send_replace(Some(Ending::Settled))),
            Pulled::Foreign(foreign) => drop(self.pool.shards.send(Err(foreign.into())).await),
        }
    }

    fn end(&mut self, payload: &[u8]) {
        let ending = match serde_json::from_slice(payload) {
            Ok(End::Done) => Ending::Settled,
            Ok(End::Stopped { why }) => Ending::Stopped { why },
            Err(error) => return tracing::warn!(%error, "a message of another version of capfilt is ignored"),
        };
        self.pool.ending.send_replace(Some(ending));
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
