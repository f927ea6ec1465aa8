//! The job's work queue: a JetStream stream with one place per open shard, and one consumer that all workers
//! share.
//!
//! A place takes one message, so filling the queue again is harmless. A message goes away when it is
//! acknowledged, which happens when its shard is committed or quarantined. What is in the queue is never the
//! truth: commits are.

use super::connection::ConnectionError;
use async_nats::{
    Client,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, PullConsumer, pull},
        context::{ConsumerInfoErrorKind, CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind},
        stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
    },
};
use capfilt_bucket::without_secrets;
use capfilt_schemas::{
    cluster::{QueueNames, ShardMessage},
    plan::ShardId,
};
use futures::{TryStreamExt as _, future::ready};
use std::{
    collections::{HashSet, VecDeque},
    fmt::Display,
    time::Duration,
};

/// Messages on their way to the server, unconfirmed. Memory: about 1 kB each.
const PUBLISHES_AT_ONCE: usize = 256;

/// Name of the consumer all workers share.
const CONSUMER: &str = "workers";

/// The server's word for "this place is taken".
const PLACE_TAKEN: &str = "maximum messages per subject exceeded";

/// The work queue of one job.
#[derive(Clone)]
pub struct JobQueue {
    pub client: Client,
    pub names: QueueNames,
    context: Context,
    /// Of the server, for errors.
    pub(super) url: String,
    /// URL of the job, for people who look at the server's streams.
    job: Option<String>,
}

/// What is in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Depth {
    /// Messages whose shards are neither committed nor quarantined.
    pub messages: u64,
    /// Of these, not yet with a worker.
    pub pending: u64,
    /// Of these, with a worker, or on their way to another.
    pub unacknowledged: u64,
    /// Workers that ask for a shard and get none.
    pub idle_asks: usize,
}

impl Depth {
    /// Whether there are messages, none of them with a worker, and yet none for those who ask: a server that
    /// was killed may have lost the removal of a message and kept its acknowledgement. Twice in a row, it is
    /// so.
    pub fn seems_stuck(&self) -> bool {
        self.messages > 0 && self.unacknowledged == 0 && (self.pending == 0 || self.idle_asks > 0)
    }
}

impl JobQueue {
    pub fn new(client: Client, names: QueueNames, url: String) -> Self {
        let context = jetstream::new(client.clone());
        Self { client, names, context, url, job: None }
    }

    /// The same queue, which says whose it is.
    pub fn of_job(self, url: &str) -> Self {
        Self { job: Some(without_secrets(url)), ..self }
    }

    /// Makes stream and consumer what they should be; `true` when the stream was there before. A shard whose
    /// worker has said nothing for `ack_wait` is given to somebody else.
    pub async fn ensure(&self, ack_wait: Duration) -> Result<bool, ConnectionError> {
        let before = self.stream().await?.map(|stream| stream.cached_info().config.num_replicas);
        let replicas = self.replicas();
        let created = match self.context.create_or_update_stream(self.config(replicas)).await {
            // A cluster of two has no place for three copies, and one that is not whole gets no new stream
            // with three.
            Err(error) if replicas > 1 && has_no_place(&error) => {
                self.context.create_or_update_stream(self.config(before.unwrap_or(1))).await
            }
            created => created,
        };
        created.map_err(|error| match error.kind() {
            CreateStreamErrorKind::JetStream(why) if is_without(why.error_code()) => {
                self.without_jetstream(why)
            }
            CreateStreamErrorKind::JetStreamUnavailable => self.without_jetstream("nobody answers for it"),
            _ => self.fail("create the queue", shown(&error)),
        })?;
        let stream = self.stream().await?.ok_or_else(|| self.fail("find the queue", "it was removed"))?;
        // Create *or update*: an existing consumer would keep its old waiting time.
        let consumer = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            // Tries are counted by the failures in the bucket, never by the queue.
            max_deliver: -1,
            max_ack_pending: 1 << 20,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(consumer).await;
        consumer.map_err(|error| self.fail("create the queue's consumer", shown(&error)))?;
        Ok(before.is_some())
    }

    /// One copy of the queue on each of three servers, where the server is one of a cluster. It tells so even
    /// when it keeps the others' addresses to itself, as the Helm chart's servers do.
    fn replicas(&self) -> usize {
        if self.client.server_info().cluster.is_some() { 3 } else { 1 }
    }

    fn config(&self, replicas: usize) -> Config {
        Config {
            name: self.names.stream(),
            description: self.job.clone(),
            subjects: self.names.subjects(),
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            max_messages_per_subject: 1,
            num_replicas: replicas,
            ..Config::default()
        }
    }

    async fn stream(&self) -> Result<Option<Stream>, ConnectionError> {
        match self.context.get_stream(self.names.stream()).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                GetStreamErrorKind::JetStream(why) if is_without(why.error_code()) => {
                    Err(self.without_jetstream(why))
                }
                _ => Err(self.fail("look at the queue", error)),
            },
        }
    }

    /// The shared consumer; `None` while there is no queue.
    pub async fn consumer(&self) -> Result<Option<PullConsumer>, ConnectionError> {
        let Some(stream) = self.stream().await? else { return Ok(None) };
        // A queue whose consumer is missing is one that is just being made.
        Ok(stream.get_consumer(CONSUMER).await.ok())
    }

    /// Puts shards into their places; how many places were free. Memory: the messages that are unconfirmed.
    pub async fn fill(
        &self,
        shards: impl Iterator<Item = ShardMessage>,
        delivery: Delivery,
    ) -> Result<u64, ConnectionError> {
        let (mut filled, mut unconfirmed) = (0, VecDeque::new());
        for message in shards {
            let subject = self.subject(&message.shard.id, delivery);
            let payload = serde_json::to_vec(&message).expect("a message is plain data");
            let sent = self.context.publish(subject, payload.into()).await;
            unconfirmed.push_back(sent.map_err(|error| self.fail("put a shard into the queue", error))?);
            if unconfirmed.len() == PUBLISHES_AT_ONCE {
                filled += self.confirm(unconfirmed.pop_front()).await?;
            }
        }
        while !unconfirmed.is_empty() {
            filled += self.confirm(unconfirmed.pop_front()).await?;
        }
        Ok(filled)
    }

    fn subject(&self, shard: &ShardId, delivery: Delivery) -> String {
        match delivery {
            Delivery::First => self.names.shard(shard),
            Delivery::Speculative => self.names.again(shard),
        }
    }

    async fn confirm(
        &self,
        sent: Option<jetstream::context::PublishAckFuture>,
    ) -> Result<u64, ConnectionError> {
        let Some(sent) = sent else { return Ok(0) };
        match sent.await {
            Ok(_) => Ok(1),
            Err(error) if shown(&error).contains(PLACE_TAKEN) => Ok(0),
            Err(error) => Err(self.fail("put a shard into the queue", shown(&error))),
        }
    }

    /// How full the queue is; `None` when it is gone.
    pub async fn depth(&self) -> Result<Option<Depth>, ConnectionError> {
        let Some(stream) = self.stream().await? else { return Ok(None) };
        let messages = stream.cached_info().state.messages;
        let consumer = match stream.consumer_info(CONSUMER).await {
            Ok(consumer) => consumer,
            Err(error) if is_gone(error.kind()) => return Ok(None),
            Err(error) => return Err(self.fail("look at the queue's consumer", shown(&error))),
        };
        let (pending, unacknowledged) = (consumer.num_pending, consumer.num_ack_pending as u64);
        Ok(Some(Depth { messages, pending, unacknowledged, idle_asks: consumer.num_waiting }))
    }

    /// The shards that are in the queue, waiting or with a worker.
    pub async fn shards(&self) -> Result<HashSet<ShardId>, ConnectionError> {
        let Some(stream) = self.stream().await? else { return Ok(HashSet::new()) };
        let fail = |error: &dyn Display| self.fail("look into the queue", error);
        let subjects = stream.info_with_subjects(self.names.shards()).await.map_err(|error| fail(&error))?;
        let shards = subjects.try_filter_map(|(subject, _)| ready(Ok(self.names.parse_shard(&subject))));
        shards.try_collect().await.map_err(|error| fail(&error))
    }

    /// Removes the queue. One that is gone already is fine.
    pub async fn remove(&self) -> Result<(), ConnectionError> {
        if self.stream().await?.is_none() {
            return Ok(());
        }
        match self.context.delete_stream(self.names.stream()).await {
            // Somebody else may have been as quick.
            Err(error) if self.stream().await?.is_some() => Err(self.fail("remove the queue", shown(&error))),
            _ => Ok(()),
        }
    }

    fn without_jetstream(&self, why: impl Display) -> ConnectionError {
        ConnectionError::NoJetStream { url: self.url.clone(), why: why.to_string() }
    }

    fn fail(&self, what: &'static str, why: impl Display) -> ConnectionError {
        ConnectionError::JetStream { url: self.url.clone(), what, why: why.to_string() }
    }
}

/// Whether JetStream is off, at the server or for the account.
fn is_without(code: ErrorCode) -> bool {
    [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT].contains(&code)
}

/// Which of a shard's places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    First,
    /// For a second worker, near the job's end.
    Speculative,
}

/// Whether a stream was refused since there are too few servers for its copies.
fn has_no_place(error: &CreateStreamError) -> bool {
    const WHY: [ErrorCode; 3] = [
        ErrorCode::CLUSTER_NO_PEERS,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED,
    ];
    matches!(error.kind(), CreateStreamErrorKind::JetStream(why) if WHY.contains(&why.error_code()))
}

/// Whether it is known that there is no consumer; an election or a lost answer says nothing.
fn is_gone(kind: ConsumerInfoErrorKind) -> bool {
    matches!(kind, ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound)
}

/// An error with its causes, in one line.
fn shown(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
