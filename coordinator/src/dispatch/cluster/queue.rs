//! The job's work queue: a JetStream stream with one subject per open shard, and one consumer that all worker
//! pools share.
//!
//! A subject holds one message, so filling the queue again is harmless. A message is removed when it is
//! acknowledged, that is, when its shard is committed or quarantined. The queue is never the truth: the
//! commits are.

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
use capfilt_schemas::{
    plan::ShardId,
    queue_protocol::{QueueNames, ShardMessage},
};
use capfilt_store::without_secrets;
use futures::{TryStreamExt as _, future::ready};
use std::{
    collections::{HashSet, VecDeque},
    fmt::Display,
    time::Duration,
};

/// Published messages without a confirmation. Memory: about 1 kB each.
const PUBLISHES_AT_ONCE: usize = 256;

/// Name of the consumer that all worker pools share.
const CONSUMER: &str = "workers";

/// Text of the server's error for a subject that holds a message.
const PLACE_TAKEN: &str = "maximum messages per subject exceeded";

/// The work queue of one job.
#[derive(Clone)]
pub struct JobQueue {
    /// Connection to NATS.
    pub client: Client,
    /// Names of stream, consumer and subjects.
    pub names: QueueNames,
    context: Context,
    /// URL of the server, for errors.
    pub(super) url: String,
    /// URL of the job, for people who list the server's streams.
    job: Option<String>,
}

/// Number of messages in the queue, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Depth {
    /// Messages whose shards are neither committed nor quarantined.
    pub messages: u64,
    /// Messages that no worker pool has received.
    pub pending: u64,
    /// Messages that are at a worker pool, or will be delivered again.
    pub unacknowledged: u64,
    /// Requests of worker pools that wait for a shard.
    pub idle_asks: usize,
}

impl Depth {
    /// Whether messages exist, none is at a pool, and yet waiting pools receive none. A killed server may
    /// have lost the removal of a message and kept its acknowledgement. Two observations in a row prove it.
    pub fn seems_stuck(&self) -> bool {
        self.messages > 0 && self.unacknowledged == 0 && (self.pending == 0 || self.idle_asks > 0)
    }
}

impl JobQueue {
    /// The queue of a job over a connection; `url` is the server's, for messages.
    pub fn new(client: Client, names: QueueNames, url: String) -> Self {
        let context = jetstream::new(client.clone());
        Self { client, names, context, url, job: None }
    }

    /// Sets the job's URL, which the stream shows as its description.
    pub fn of_job(self, url: &str) -> Self {
        Self { job: Some(without_secrets(url)), ..self }
    }

    /// Creates or updates stream and consumer; `true` if the stream existed. A shard without a heartbeat for
    /// `ack_wait` is delivered to another worker pool.
    pub async fn ensure(&self, ack_wait: Duration) -> Result<bool, ConnectionError> {
        let before = self.stream().await?.map(|stream| stream.cached_info().config.num_replicas);
        let replicas = self.replicas();
        let created = match self.context.create_or_update_stream(self.config(replicas)).await {
            // A cluster of two servers cannot hold three replicas, and a cluster with a server down creates
            // no new stream with three.
            Err(error) if replicas > 1 && has_no_place(&error) => {
                self.context.create_or_update_stream(self.config(before.unwrap_or(1))).await
            }
            created => created,
        };
        created.map_err(|error| match error.kind() {
            CreateStreamErrorKind::JetStream(why) if is_without(why.error_code()) => {
                self.without_jetstream(why)
            }
            CreateStreamErrorKind::JetStreamUnavailable => {
                self.without_jetstream("no server answers a JetStream request")
            }
            _ => self.fail("create the queue", shown(&error)),
        })?;
        let stream = self.stream().await?.ok_or_else(|| self.fail("find the queue", "it was removed"))?;
        // Create *or update*: otherwise an existing consumer keeps its old ack wait.
        let consumer = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            // The failure records in the bucket count the attempts, not the queue.
            max_deliver: -1,
            max_ack_pending: 1 << 20,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(consumer).await;
        consumer.map_err(|error| self.fail("create the queue's consumer", shown(&error)))?;
        Ok(before.is_some())
    }

    /// Number of replicas: three if the server belongs to a cluster. The server reports its cluster even if
    /// it hides the addresses of the other servers, as the Helm chart's servers do.
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
                _ => Err(self.fail("read the queue's state", error)),
            },
        }
    }

    /// The shared consumer; `None` while there is no queue.
    pub async fn consumer(&self) -> Result<Option<PullConsumer>, ConnectionError> {
        let Some(stream) = self.stream().await? else { return Ok(None) };
        // A queue without its consumer is being created.
        Ok(stream.get_consumer(CONSUMER).await.ok())
    }

    /// Puts shards into the queue and returns the number of free subjects. Memory: the unconfirmed messages.
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

    /// Depth of the queue; `None` if it does not exist.
    pub async fn depth(&self) -> Result<Option<Depth>, ConnectionError> {
        let Some(stream) = self.stream().await? else { return Ok(None) };
        let messages = stream.cached_info().state.messages;
        let consumer = match stream.consumer_info(CONSUMER).await {
            Ok(consumer) => consumer,
            Err(error) if is_gone(error.kind()) => return Ok(None),
            Err(error) => return Err(self.fail("read the state of the queue's consumer", shown(&error))),
        };
        let (pending, unacknowledged) = (consumer.num_pending, consumer.num_ack_pending as u64);
        Ok(Some(Depth { messages, pending, unacknowledged, idle_asks: consumer.num_waiting }))
    }

    /// Shards in the queue, waiting or at a worker pool.
    pub async fn shards(&self) -> Result<HashSet<ShardId>, ConnectionError> {
        let Some(stream) = self.stream().await? else { return Ok(HashSet::new()) };
        let fail = |error: &dyn Display| self.fail("list the queue's shards", error);
        let subjects = stream.info_with_subjects(self.names.shards()).await.map_err(|error| fail(&error))?;
        let shards = subjects.try_filter_map(|(subject, _)| ready(Ok(self.names.parse_shard(&subject))));
        shards.try_collect().await.map_err(|error| fail(&error))
    }

    /// Removes the queue. A queue that does not exist is not an error.
    pub async fn remove(&self) -> Result<(), ConnectionError> {
        if self.stream().await?.is_none() {
            return Ok(());
        }
        match self.context.delete_stream(self.names.stream()).await {
            // Another process may have removed it at the same time.
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

/// Subject of a shard's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The shard was not delivered before.
    First,
    /// For a speculative copy near the job's end.
    Speculative,
}

/// Whether the stream was refused because the servers are too few for its replicas.
fn has_no_place(error: &CreateStreamError) -> bool {
    const WHY: [ErrorCode; 3] = [
        ErrorCode::CLUSTER_NO_PEERS,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED,
    ];
    matches!(error.kind(), CreateStreamErrorKind::JetStream(why) if WHY.contains(&why.error_code()))
}

/// Whether the consumer certainly does not exist; an election or a lost answer proves nothing.
fn is_gone(kind: ConsumerInfoErrorKind) -> bool {
    matches!(kind, ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound)
}

/// The error and its causes, in one line.
fn shown(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
