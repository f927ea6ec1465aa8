//! The next attempt at a shard, with the records of earlier attempts.

use super::poison_rows::{self, FailedAttempt};
use capfilt_schemas::{
    object_keys::AttemptId, plan::Shard, queue_protocol::ShardMessage, retry::Repair,
    worker_protocol::Assignment,
};

/// A shard to execute.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The shard.
    pub shard: Shard,
    /// Counted failed attempts, oldest first.
    pub failed: Vec<FailedAttempt>,
    /// Number of the commit to create.
    pub commit_n: u32,
    /// Rows of a committed shard that are executed again; `None` means all rows.
    pub repair: Option<Repair>,
}

impl Task {
    /// The first attempt at a shard without records.
    pub fn new(shard: Shard) -> Self {
        Self { shard, failed: Vec::new(), commit_n: 0, repair: None }
    }

    /// Whether the shard has no record, so that the attempt can begin without reading the bucket.
    pub fn is_new(&self) -> bool {
        self.failed.is_empty() && self.commit_n == 0
    }

    /// Number of used attempts.
    pub fn used(&self) -> u32 {
        poison_rows::used_attempts(&self.failed)
    }

    /// Whether the shard may end its worker process.
    pub fn is_suspected(&self) -> bool {
        poison_rows::is_suspected(&self.failed)
    }

    /// The message that assigns the shard to a worker process.
    pub fn assignment(&self, attempt: AttemptId) -> Assignment {
        let poison = poison_rows::poison_rows(&self.failed);
        Assignment {
            shard: self.shard.clone(),
            attempt,
            commit_n: self.commit_n,
            set_aside: poison.keys().copied().collect(),
            set_aside_for: poison.into_values().collect(),
            try_alone: poison_rows::rows_to_try_alone(&self.failed),
            repair: self.repair.clone(),
        }
    }
}

impl From<Task> for ShardMessage {
    fn from(task: Task) -> Self {
        Self::new(task.shard.clone(), task.is_new())
    }
}
