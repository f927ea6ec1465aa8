//! What the machines of a cluster say to each other over NATS: JSON, one value per message.
//!
//! ```text
//! stream CAPFILT_<key>        subjects capfilt.<key>.shard.<shard>, capfilt.<key>.again.<shard>     ShardMessage
//!   work queue: one message per open shard and subject, gone when its shard is committed or quarantined
//! subject capfilt.<key>.news  workers and coordinators to everyone, kept nowhere                    News
//! subject capfilt.<key>.coordinator   a coordinator to workers: it is there; once a second          CoordinatorReport
//! subject capfilt.<key>.end   coordinator to workers: the job is over, or must stop                 End
//! ```
//!
//! Nothing here is the truth; commits are. Any of these may be lost or come twice.

use crate::{commit::Cost, failure::Failure, hash::sha256_hex, plan::Shard, plan::ShardId, tally::Tally};
use serde::{Deserialize, Serialize};

/// Version of the messages. The names do not have it, so that two versions meet, and say so.
pub const VERSION: u32 = 2;

/// What the name of every job's stream begins with.
pub const STREAM_PREFIX: &str = "CAPFILT_";

/// Names of a job's stream and subjects. The key follows from the bytes of `job.json`, so that everyone who
/// reads the same job finds the same queue, by whatever URL they reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNames {
    key: String,
}

impl QueueNames {
    pub fn of(job_json: &[u8]) -> Self {
        Self { key: sha256_hex(job_json)[..16].to_owned() }
    }

    pub fn stream(&self) -> String {
        format!("{STREAM_PREFIX}{}", self.key)
    }

    /// A shard's place in the queue; there is room for one message.
    pub fn shard(&self, shard: &ShardId) -> String {
        format!("capfilt.{}.shard.{shard}", self.key)
    }

    /// All shards' places.
    pub fn shards(&self) -> String {
        format!("capfilt.{}.shard.*", self.key)
    }

    /// The shard whose place this is; `None` for any other subject.
    pub fn parse_shard(&self, subject: &str) -> Option<ShardId> {
        ShardId::parse(subject.strip_prefix(self.shards().trim_end_matches('*'))?)
    }

    /// The place of a shard's second copy, for a worker that would be idle.
    pub fn again(&self, shard: &ShardId) -> String {
        format!("capfilt.{}.again.{shard}", self.key)
    }

    /// What the stream takes in.
    pub fn subjects(&self) -> Vec<String> {
        ["shard", "again"].map(|kind| format!("capfilt.{}.{kind}.*", self.key)).into()
    }

    pub fn news(&self) -> String {
        format!("capfilt.{}.news", self.key)
    }

    /// Where a coordinator tells workers that it is there: among the news they would hear every other worker
    /// too.
    pub fn coordinator(&self) -> String {
        format!("capfilt.{}.coordinator", self.key)
    }

    pub fn end(&self) -> String {
        format!("capfilt.{}.end", self.key)
    }
}

/// An open shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardMessage {
    version: u32,
    /// Release of the coordinator that put it into the queue.
    program: String,
    pub shard: Shard,
    /// Whether nothing was on record of it when it was put into the queue: it can be begun without a look at
    /// the bucket.
    pub is_new: bool,
}

/// Why a message of the queue is of no use here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(
        "the coordinator's messages have version {version} (capfilt {program}), this capfilt {} has version {VERSION}; \
         run the same release on every machine", env!("CARGO_PKG_VERSION")
    )]
    OtherVersion { version: u32, program: String },
    #[error("it is no shard")]
    NoShard,
}

impl ShardMessage {
    pub fn new(shard: Shard, is_new: bool) -> Self {
        Self { version: VERSION, program: env!("CARGO_PKG_VERSION").to_owned(), shard, is_new }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is of another version, whatever else is in it, or no such message at all.
    pub fn parse(payload: &[u8]) -> Result<Self, Unreadable> {
        /// What every version has.
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

/// What a worker or a coordinator tells everyone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// Once a second while it lives.
    Alive(WorkerReport),
    Committed {
        shard: ShardId,
        rows: u64,
        tally: Tally,
        superseded: bool,
        #[serde(default)]
        cost: Cost,
    },
    Failed {
        failure: Failure,
    },
    /// A worker ended since it could not go on.
    Left {
        worker: String,
        why: String,
    },
    /// A coordinator is at work; once a second while it lives.
    Coordinating(CoordinatorReport),
}

/// One worker process (with all its devices) as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Host and process number.
    pub worker: String,
    pub devices: Vec<String>,
    /// Devices whose models are loaded.
    pub devices_ready: usize,
    pub shards_held: usize,
    /// These shards, by device.
    #[serde(default)]
    pub in_hand: Vec<InHand>,
    /// Committed by this process, and done of what it holds; never what another committed.
    pub rows: u64,
    /// Books of these rows.
    pub tally: Tally,
    /// Rows it did for nothing: its attempts lost their shards to others.
    #[serde(default)]
    pub wasted_rows: u64,
    pub seconds_up: f64,
    /// Whether this is its last report: it ends.
    #[serde(default)]
    pub is_last: bool,
}

/// One coordinator as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoordinatorReport {
    /// Host and process number.
    pub coordinator: String,
    pub seconds_up: f64,
}

/// A shard that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHand {
    pub shard: ShardId,
    pub device: String,
    /// Rows of it that are done.
    pub rows: u64,
}

/// The coordinator's last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// Every shard is committed or quarantined.
    Done,
    /// The job was stopped, for this reason.
    Stopped { why: String },
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
