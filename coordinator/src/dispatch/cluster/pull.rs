//! Taking one shard at a time out of the queue, whatever happens to the server meanwhile.

use super::queue::JobQueue;
use crate::{Task, standing_of};
use async_nats::jetstream::{AckKind, Message, consumer::PullConsumer};
use capfilt_bucket::Bucket;
use capfilt_schemas::{cluster::ShardMessage, plan::ShardId};
use futures::StreamExt as _;
use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};
use tokio::{sync::mpsc, time::sleep};

/// How long one pull waits at the server for a shard. One that died with its server is missed after twice that time.
const PULL: Duration = Duration::from_secs(2);

/// Time before a failed pull is tried again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Empty pulls after which it is asked whether the job is over: its last word may have been lost.
const EMPTY_PULLS: u32 = 15;

/// A copy of a shard that is being worked on here goes to somebody else.
const NOT_HERE: Duration = Duration::from_secs(2);

/// The messages of the shards this worker has, all on one thread.
pub(super) type Held = Rc<RefCell<HashMap<ShardId, Message>>>;

/// What came of a wish for a shard.
pub(super) enum Pulled {
    Task(Box<Task>),
    /// The job is sealed.
    Over,
}

/// Pulls a shard for every wish, until nobody wishes any more.
pub(super) async fn pull(
    queue: JobQueue,
    bucket: Bucket,
    attempts: u32,
    held: Held,
    mut wanted: mpsc::Receiver<()>,
    out: mpsc::Sender<Pulled>,
) {
    let mut puller = Puller { queue, bucket, attempts, consumer: None, held };
    while wanted.recv().await.is_some() {
        let pulled = puller.next().await;
        let is_over = matches!(pulled, Pulled::Over);
        if out.send(pulled).await.is_err() || is_over {
            return;
        }
    }
}

struct Puller {
    queue: JobQueue,
    bucket: Bucket,
    attempts: u32,
    consumer: Option<PullConsumer>,
    held: Held,
}

impl Puller {
    /// Waits until there is a shard to do, or the job is over.
    async fn next(&mut self) -> Pulled {
        let mut empty = 0;
        loop {
            match self.message().await {
                Some(message) => {
                    if let Some(pulled) = self.admit(message).await {
                        return pulled;
                    }
                }
                None => {
                    empty += 1;
                    if (self.consumer.is_none() || empty % EMPTY_PULLS == 0) && self.is_over().await {
                        return Pulled::Over;
                    }
                }
            }
        }
    }

    /// One message, or `None` after a while without one.
    async fn message(&mut self) -> Option<Message> {
        if self.consumer.is_none() {
            self.consumer = self.queue.consumer().await.ok().flatten();
        }
        let Some(consumer) = &self.consumer else {
            sleep(TRY_EVERY).await;
            return None;
        };
        let batch = consumer.batch().max_messages(1).expires(PULL).messages().await;
        let pulled = match batch {
            // The server may be gone without a word; its own limit is a little shorter than ours.
            Ok(mut batch) => tokio::time::timeout(PULL * 2, batch.next()).await.ok().flatten(),
            Err(error) => Some(Err(error.into())),
        };
        match pulled {
            Some(Ok(message)) => Some(message),
            None => None,
            Some(Err(error)) => {
                tracing::debug!(%error, "a pull failed");
                self.consumer = None;
                sleep(TRY_EVERY).await;
                None
            }
        }
    }

    /// Looks at a message; `None` when its shard needs no work from us.
    async fn admit(&mut self, message: Message) -> Option<Pulled> {
        let parsed: Result<ShardMessage, _> = serde_json::from_slice(&message.payload);
        let Ok(ShardMessage { shard, is_new }) = parsed else {
            tracing::warn!(subject = %message.subject, "a message that is no shard; it is dropped");
            let _ = message.ack_with(AckKind::Term).await;
            return None;
        };
        let is_copy = *message.subject == *self.queue.names.again(&shard.id);
        let is_first_delivery = message.info().is_ok_and(|info| info.delivered <= 1);
        let mut task = Task::new(shard.clone());
        if !is_new || is_copy || !is_first_delivery {
            match standing_of(&self.bucket, &shard.id).await.map(|now| now.task(&shard, self.attempts)) {
                Ok(Some(known)) => task = known,
                Ok(None) => {
                    let _ = message.ack().await;
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, shard = %shard.id, "cannot look at the shard's standing; giving it back");
                    let _ = message.ack_with(AckKind::Nak(Some(TRY_EVERY))).await;
                    return None;
                }
            }
        }
        if self.held.borrow().contains_key(&shard.id) {
            if is_copy {
                let _ = message.ack_with(AckKind::Nak(Some(NOT_HERE))).await;
            } else {
                // We were taken for dead; the newest delivery is the one to answer.
                self.held.borrow_mut().insert(shard.id, message);
            }
            return None;
        }
        self.held.borrow_mut().insert(shard.id.clone(), message);
        Some(Pulled::Task(Box::new(task)))
    }

    /// Whether a manifest says that the job is done, and nothing was added since.
    async fn is_over(&self) -> bool {
        crate::status::is_done(&self.bucket).await.unwrap_or(false)
    }
}
