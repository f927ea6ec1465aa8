//! Messages between the machines of a cluster over NATS: JSON, one value per message.
//!
//! ```text
//! stream CAPFILT_<key>             work queue: one message per open shard and subject    ShardMessage
//!   subject capfilt.<key>.shard.<shard>     removed when the shard is committed or quarantined
//!   subject capfilt.<key>.again.<shard>     the same, for a speculative copy
//! subject capfilt.<key>.news       worker pools and coordinators to all, not stored      News
//! subject capfilt.<key>.coordinator    a coordinator to pools, once per second           CoordinatorReport
//! subject capfilt.<key>.end        coordinator to pools: the job is over, or must stop   End
//! ```
//!
//! The commits are the truth, not the messages: any message may be lost or arrive twice.

use crate::{commit::Cost, failure::Failure, hash::sha256_hex, plan::Shard, plan::ShardId, tally::Tally};
use serde::{Deserialize, Serialize};

/// Version of the messages. The names do not contain it, so that two versions meet and report the mismatch.
pub const VERSION: u32 = 3;

/// Prefix of the name of every job's stream.
pub const STREAM_PREFIX: &str = "CAPFILT_";

/// Names of a job's stream and subjects. The key is derived from the bytes of `job.json`, so that all
/// processes of the job find the same queue, independent of the URL by which each reaches the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNames {
    key: String,
}

impl QueueNames {
    /// Names of the job whose `job.json` has these bytes.
    pub fn of(job_json: &[u8]) -> Self {
        Self { key: sha256_hex(job_json)[..16].to_owned() }
    }

    /// Name of the stream.
    pub fn stream(&self) -> String {
        format!("{STREAM_PREFIX}{}", self.key)
    }

    /// Subject of a shard's message; it holds at most one.
    pub fn shard(&self, shard: &ShardId) -> String {
        format!("capfilt.{}.shard.{shard}", self.key)
    }

    /// Pattern of the subjects of all shards.
    pub fn shards(&self) -> String {
        format!("capfilt.{}.shard.*", self.key)
    }

    /// The shard of a subject; `None` for any other subject.
    pub fn parse_shard(&self, subject: &str) -> Option<ShardId> {
        ShardId::parse(subject.strip_prefix(self.shards().trim_end_matches('*'))?)
    }

    /// Subject of a shard's speculative copy, for a worker process that would be idle.
    pub fn again(&self, shard: &ShardId) -> String {
        format!("capfilt.{}.again.{shard}", self.key)
    }

    /// Subjects of the stream.
    pub fn subjects(&self) -> Vec<String> {
        ["shard", "again"].map(|kind| format!("capfilt.{}.{kind}.*", self.key)).into()
    }

    /// Subject of the news.
    pub fn news(&self) -> String {
        format!("capfilt.{}.news", self.key)
    }

    /// Subject on which a coordinator announces itself to worker pools. On the subject of the news they would
    /// also receive the messages of all other pools.
    pub fn coordinator(&self) -> String {
        format!("capfilt.{}.coordinator", self.key)
    }

    /// Subject of the coordinator's last message.
    pub fn end(&self) -> String {
        format!("capfilt.{}.end", self.key)
    }
}

/// An open shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardMessage {
    version: u32,
    /// Release of the coordinator that queued the message.
    program: String,
    /// The shard to execute.
    pub shard: Shard,
    /// Whether the shard had no record when the message was queued: the attempt can begin without reading the
    /// bucket.
    pub is_new: bool,
}

/// Reason why a message of the queue is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(
        "the coordinator's messages have version {version} (capfilt {program}), this capfilt {} has version \
         {VERSION}; run the same release on every machine", env!("CARGO_PKG_VERSION")
    )]
    /// The coordinator is of another release, with other messages.
    OtherVersion {
        /// Version of the messages.
        version: u32,
        /// Release of the coordinator.
        program: String,
    },
    /// The message has another form.
    #[error("the message is not a shard")]
    NoShard,
}

impl ShardMessage {
    /// The message of a shard.
    pub fn new(shard: Shard, is_new: bool) -> Self {
        Self { version: VERSION, program: env!("CARGO_PKG_VERSION").to_owned(), shard, is_new }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// A message of another version, even if its other fields are unknown, and any other kind of message.
    pub fn parse(payload: &[u8]) -> Result<Self, Unreadable> {
        /// Fields that every version has.
        #[derive(Deserialize)]
        struct Header {
            version: u32,
            program: String,
        }
        let Header { version, program } = serde_json::from_slice(payload).map_err(|_| Unreadable::NoShard)?;
        if version != VERSION {
            return Err(Unreadable::OtherVersion { version, program });
        }
        serde_json::from_slice(payload).map_err(|_| Unreadable::NoShard)
    }
}

/// Message of a worker pool or a coordinator to all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// Once per second while the pool runs.
    Alive(WorkerReport),
    /// An attempt of the pool ended with a result of its shard.
    Committed {
        /// The committed shard.
        shard: ShardId,
        /// Rows of the shard.
        rows: u64,
        /// Tally of the shard's result.
        tally: Tally,
        /// Whether another attempt's result counts.
        superseded: bool,
        /// Cost of the attempt.
        #[serde(default)]
        cost: Cost,
    },
    /// An attempt of the pool failed.
    Failed {
        /// The failure record.
        failure: Failure,
    },
    /// A worker pool ended, because it could not continue.
    Left {
        /// Host and process number of the pool.
        worker: String,
        /// Reason, for people.
        why: String,
    },
    /// A coordinator is running; once per second.
    Coordinating(CoordinatorReport),
}

/// Current state of one worker pool, with all its devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Host and process number.
    pub worker: String,
    /// Devices of the pool.
    pub devices: Vec<String>,
    /// Devices whose models are loaded.
    pub devices_ready: usize,
    /// Shards that the pool leases.
    pub shards_held: usize,
    /// The held shards, by device.
    #[serde(default)]
    pub in_hand: Vec<InHand>,
    /// Rows that this pool committed, and finished rows of its held shards; never rows that another pool
    /// committed.
    pub rows: u64,
    /// Tally of these rows.
    pub tally: Tally,
    /// Rows of attempts that lost their shards to other attempts.
    #[serde(default)]
    pub wasted_rows: u64,
    /// Seconds since the start of the pool.
    pub seconds_up: f64,
    /// Whether this is the last report, because the pool ends.
    #[serde(default)]
    pub is_last: bool,
}

/// Current state of one coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoordinatorReport {
    /// Host and process number.
    pub coordinator: String,
    /// Seconds since the start of the coordinator.
    pub seconds_up: f64,
}

/// A shard that is in process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHand {
    /// The shard.
    pub shard: ShardId,
    /// Device that executes the shard.
    pub device: String,
    /// Finished rows of the shard.
    pub rows: u64,
}

/// The coordinator's last message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// Every shard is committed or quarantined.
    Done,
    /// The job was stopped, for this reason.
    Stopped {
        /// The reason, for people.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_job_has_the_same_queue_and_another_has_another() {
        let (a, b) = (QueueNames::of(b"{1}"), QueueNames::of(b"{2}"));
        assert_eq!(a, QueueNames::of(b"{1}"));
        assert_ne!(a.stream(), b.stream());
        let shard = ShardId::of("a", "1", 0..1);
        for subject in [a.shard(&shard), a.again(&shard)] {
            assert!(a.subjects().iter().any(|wild| subject.starts_with(wild.trim_end_matches('*'))));
        }
        assert_eq!(a.parse_shard(&a.shard(&shard)), Some(shard.clone()));
        assert_eq!(a.parse_shard(&a.again(&shard)), None);
        assert_eq!(a.parse_shard(&b.shard(&shard)), None);
    }
}
