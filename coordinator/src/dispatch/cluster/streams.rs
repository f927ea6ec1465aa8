//! The queues of a server: unused queues of abandoned jobs take up room.

use super::connection::{Connection, ConnectionError};
use async_nats::{Client, jetstream};
use capfilt_schemas::queue_protocol::STREAM_PREFIX;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use std::{collections::HashSet, fmt, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Time to wait for messages of coordinators and worker pools, which report once per second.
const LISTEN: Duration = Duration::from_secs(3);

/// A job's queue on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobStream {
    /// Name of the stream.
    pub stream: String,
    /// URL of the job, as its coordinator reached it.
    pub job: Option<String>,
    /// Number of shards in the queue.
    pub messages: u64,
    /// Whether a coordinator or a worker pool of the job reported.
    pub in_use: bool,
}

impl fmt::Display for JobStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = self.job.as_deref().unwrap_or("a job without a name");
        write!(out, "queue {} of {job}, {} shards", self.stream, self.messages)
    }
}

/// The queues of all jobs of a server.
pub struct JobStreams {
    client: Client,
    url: String,
    /// Streams of jobs.
    pub found: Vec<JobStream>,
}

impl JobStreams {
    /// Lists the queues, and waits a few seconds for messages of coordinators and worker pools.
    ///
    /// # Errors
    /// A server that refuses the connection, cannot be reached or has no JetStream.
    pub async fn look(link: &Connection, waiting: impl Fn(&str)) -> Result<Self, ConnectionError> {
        let (client, url) = (link.connect(waiting).await?, link.shown());
        let keys = heard_keys(&client, &url).await?;
        let streams = jetstream::new(client.clone()).streams().try_collect::<Vec<_>>().await;
        let streams = streams.map_err(|error| fail(&url, "list the queues", &error.to_string()))?;
        let found = streams.into_iter().filter_map(|info| {
            let key = info.config.name.strip_prefix(STREAM_PREFIX)?;
            let in_use = keys.contains(key);
            let (job, messages) = (info.config.description.clone(), info.state.messages);
            Some(JobStream { stream: info.config.name, job, messages, in_use })
        });
        let found = found.collect();
        Ok(Self { client, url, found })
    }

    /// Removes the unused queues. Nothing is lost: a job that resumes fills its queue again from its bucket.
    ///
    /// # Errors
    /// A server that fails.
    pub async fn remove_unused(&self) -> Result<(), ConnectionError> {
        let context = jetstream::new(self.client.clone());
        for stream in self.found.iter().filter(|stream| !stream.in_use) {
            let removed = context.delete_stream(&stream.stream).await;
            removed.map_err(|error| fail(&self.url, "remove a queue", &error.to_string()))?;
        }
        Ok(())
    }
}

/// Keys of the jobs of which a process reports.
async fn heard_keys(client: &Client, url: &str) -> Result<HashSet<String>, ConnectionError> {
    let news = client.subscribe("capfilt.*.news").await;
    let mut news = news.map_err(|error| fail(url, "subscribe to the jobs' messages", &error.to_string()))?;
    let (mut keys, until) = (HashSet::new(), Instant::now() + LISTEN);
    while let Ok(Some(message)) = timeout_at(until, news.next()).await {
        keys.extend(message.subject.split('.').nth(1).map(str::to_owned));
    }
    Ok(keys)
}

fn fail(url: &str, what: &'static str, why: &str) -> ConnectionError {
    ConnectionError::JetStream { url: url.to_owned(), what, why: why.to_owned() }
}
