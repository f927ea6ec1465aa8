//! A shard that is to be done, and what is known of earlier attempts at it.

use crate::crashes::{self, Failed};
use capfilt_schemas::{cluster::ShardMessage, names::AttemptId, pipe::Assignment, plan::Shard, retry::Repair};

/// The next attempt's business.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub shard: Shard,
    /// Failed attempts that count, oldest first.
    pub failed: Vec<Failed>,
    /// Number of the commit to create.
    pub commit_n: u32,
    /// What is done again of a shard that has a result; all of it when there is none.
    pub repair: Option<Repair>,
}

impl Task {
    /// A shard of which nothing is on record.
    pub fn new(shard: Shard) -> Self {
        Self { shard, failed: Vec::new(), commit_n: 0, repair: None }
    }

    /// Whether nothing is on record: it can be begun without a look at the bucket.
    pub fn is_new(&self) -> bool {
        self.failed.is_empty() && self.commit_n == 0
    }

    /// Attempts that are used up.
    pub fn used(&self) -> u32 {
        crashes::used(&self.failed)
    }

    /// Whether it may end the process it runs in.
    pub fn is_suspected(&self) -> bool {
        crashes::is_suspected(&self.failed)
    }

    pub fn assignment(&self, attempt: AttemptId) -> Assignment {
        let set_aside = crashes::set_aside(&self.failed);
        Assignment {
            shard: self.shard.clone(),
            attempt,
            commit_n: self.commit_n,
            set_aside: set_aside.keys().copied().collect(),
            set_aside_for: set_aside.into_values().collect(),
            try_alone: crashes::try_alone(&self.failed),
            repair: self.repair.clone(),
        }
    }
}

impl From<Task> for ShardMessage {
    fn from(task: Task) -> Self {
        Self::new(task.shard.clone(), task.is_new())
    }
}
