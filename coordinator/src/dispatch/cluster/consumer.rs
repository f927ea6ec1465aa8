//! Taking one shard at a time out of the queue, whatever happens to the server meanwhile.

use super::queue::JobQueue;
use crate::state::{JobState, Task};
use async_nats::jetstream::{AckKind, Message, consumer::PullConsumer};
use capfilt_bucket::Bucket;
use capfilt_schemas::{
    cluster::{ShardMessage, Unreadable},
    plan::ShardId,
};
use futures::StreamExt as _;
use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// How long one pull waits at the server for a shard.
const PULL: Duration = Duration::from_secs(1);

/// A question that has no answer by then died with its server. What is left of a pause when a new leader has
/// been elected is at most this long.
const OVERDUE: Duration = Duration::from_millis(1500);

/// Time before a failed pull is tried again.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// Pulls in vain after which it is asked whether the job is over: its last word may have been lost. From 5 to
/// 20 seconds.
const VAIN_PULLS: u32 = 20;

/// A copy of a shard that is being worked on here goes to somebody else.
const NOT_HERE: Duration = Duration::from_secs(2);

/// The messages of the shards this worker has, all on one thread.
pub(super) type Held = Rc<RefCell<HashMap<ShardId, Message>>>;

/// What came of a wish for a shard.
pub(super) enum Pulled {
    Task(Box<Task>),
    /// The job is sealed.
    Over,
    /// The queue speaks another version.
    Foreign(Unreadable),
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
        let is_last = !matches!(pulled, Pulled::Task(_));
        if out.send(pulled).await.is_err() || is_last {
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

    /// One message, or `None` after a while without one.
    async fn message(&mut self) -> Option<Message> {
        if self.consumer.is_none() {
            // JobRequest once: it goes by its name, so it stays good when the queue is lost and made anew.
            self.consumer = timeout(OVERDUE, self.queue.consumer()).await.ok()?.ok().flatten();
        }
        let Some(consumer) = &self.consumer else {
            sleep(TRY_EVERY).await;
            return None;
        };
        // The server may be gone without a word; its own limit is shorter than ours.
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

    /// Looks at a message; `None` when its shard needs no work from us.
    async fn admit(&mut self, message: Message) -> Option<Pulled> {
        let ShardMessage { shard, is_new, .. } = match ShardMessage::parse(&message.payload) {
            Ok(parsed) => parsed,
            Err(foreign @ Unreadable::OtherVersion { .. }) => {
                // Others may be able to read it.
                let _ = message.ack_with(AckKind::Nak(None)).await;
                return Some(Pulled::Foreign(foreign));
            }
            Err(Unreadable::NoShard) => {
                tracing::warn!(subject = %message.subject, "a message that is no shard; it is dropped");
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
                    tracing::warn!(%error, shard = %shard.id, "cannot look at the shard's job_state; giving it back");
                    let _ = message.ack_with(AckKind::Nak(Some(OVERDUE))).await;
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
