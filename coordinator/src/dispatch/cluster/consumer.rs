//! Takes one shard at a time from the queue, also across restarts of the server.

use super::queue::JobQueue;
use crate::state::{JobState, Task};
use async_nats::jetstream::{AckKind, Message, consumer::PullConsumer};
use capfilt_schemas::{
    plan::ShardId,
    queue_protocol::{ShardMessage, Unreadable},
};
use capfilt_store::Location;
use futures::StreamExt as _;
use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// Longest wait of one pull at the server.
const PULL: Duration = Duration::from_secs(1);

/// A request without an answer after this time was lost with its server. After the election of a new leader,
/// the remaining pause is at most this long.
const OVERDUE: Duration = Duration::from_millis(1500);

/// Wait after a failed pull.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// Number of empty pulls after which the bucket is checked for the end of the job: its message may have been
/// lost. 20 pulls take 5 to 20 seconds.
const VAIN_PULLS: u32 = 20;

/// Delay for a copy of a shard that runs on this machine: another machine should take the copy.
const NOT_HERE: Duration = Duration::from_secs(2);

/// Messages of the shards that this pool holds, all on one thread.
pub(super) type Held = Rc<RefCell<HashMap<ShardId, Message>>>;

/// Result of a request for a shard.
pub(super) enum Pulled {
    Task(Box<Task>),
    /// The job is sealed.
    Over,
    /// The queue has another version.
    Foreign(Unreadable),
}

/// Pulls a shard for every request, until the requests end.
pub(super) async fn pull(
    queue: JobQueue,
    bucket: Location,
    attempts: u32,
    held: Held,
    mut wanted: mpsc::Receiver<()>,
    out: mpsc::Sender<Pulled>,
) {
    let mut puller = Puller { queue, bucket, attempts, consumer: None, held };
    while wanted.recv().await.is_some() {
        let pulled = puller.next().await;
        let is_last = !matches!(pulled, Pulled::Task(_));
        if out.send(pulled).await.is_err() || is_last {
            return;
        }
    }
}

struct Puller {
    queue: JobQueue,
    bucket: Location,
    attempts: u32,
    consumer: Option<PullConsumer>,
    held: Held,
}

impl Puller {
    /// Waits for a shard to execute, or for the end of the job.
    async fn next(&mut self) -> Pulled {
        let mut vain = 0;
        loop {
            match self.message().await {
                Some(message) => {
                    if let Some(pulled) = self.admit(message).await {
                        return pulled;
                    }
                }
                None => {
                    vain += 1;
                    if vain % VAIN_PULLS == 0 && self.is_over().await {
                        return Pulled::Over;
                    }
                }
            }
        }
    }

    /// Returns one message, or `None` after a while without one.
    async fn message(&mut self) -> Option<Message> {
        if self.consumer.is_none() {
            // Requested once: the handle is valid by name, also after the queue is lost and created again.
            self.consumer = timeout(OVERDUE, self.queue.consumer()).await.ok()?.ok().flatten();
        }
        let Some(consumer) = &self.consumer else {
            sleep(TRY_EVERY).await;
            return None;
        };
        // A server may vanish silently. PULL, the limit at the server, is shorter than this one.
        let pulled = timeout(OVERDUE, async {
            let mut batch = consumer.batch().max_messages(1).expires(PULL).messages().await?;
            batch.next().await.transpose()
        });
        match pulled.await {
            Ok(Ok(message)) => message,
            Err(_) => None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a pull failed");
                sleep(TRY_EVERY).await;
                None
            }
        }
    }

    /// Admits a message; `None` if its shard needs no work from this pool.
    async fn admit(&mut self, message: Message) -> Option<Pulled> {
        let ShardMessage { shard, is_new, .. } = match ShardMessage::parse(&message.payload) {
            Ok(parsed) => parsed,
            Err(foreign @ Unreadable::OtherVersion { .. }) => {
                // A pool of the other version may read the message.
                let _ = message.ack_with(AckKind::Nak(None)).await;
                return Some(Pulled::Foreign(foreign));
            }
            Err(Unreadable::NoShard) => {
                tracing::warn!(subject = %message.subject, "a message is not a shard; it is dropped");
                let _ = message.ack_with(AckKind::Term).await;
                return None;
            }
        };
        let is_copy = *message.subject == *self.queue.names.again(&shard.id);
        let is_first_delivery = message.info().is_ok_and(|info| info.delivered <= 1);
        let mut task = Task::new(shard.clone());
        if !is_new || is_copy || !is_first_delivery {
            match JobState::read_shard(&self.bucket, &shard.id)
                .await
                .map(|now| now.task(&shard, self.attempts))
            {
                Ok(Some(known)) => task = known,
                Ok(None) => {
                    let _ = message.ack().await;
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, shard = %shard.id, "cannot read the shard's state, returning it");
                    let _ = message.ack_with(AckKind::Nak(Some(OVERDUE))).await;
                    return None;
                }
            }
        }
        if self.held.borrow().contains_key(&shard.id) {
            if is_copy {
                let _ = message.ack_with(AckKind::Nak(Some(NOT_HERE))).await;
            } else {
                // JetStream redelivered the shard, because heartbeats were late; only the newest delivery can
                // be acknowledged.
                self.held.borrow_mut().insert(shard.id, message);
            }
            return None;
        }
        self.held.borrow_mut().insert(shard.id.clone(), message);
        Some(Pulled::Task(Box::new(task)))
    }

    /// Whether a manifest shows that the job is done, and nothing was added after the manifest.
    async fn is_over(&self) -> bool {
        crate::status::is_done(&self.bucket).await.unwrap_or(false)
    }
}
