//! The committed shards of a job, with their tables.

use capfilt_schemas::{
    commit::{Commit, Output},
    object_keys::{AttemptId, Table},
    plan::Shard,
};

/// A committed shard. Memory: about 1 kB.
#[derive(Debug, Clone, PartialEq)]
pub struct CommittedShard {
    /// The shard.
    pub shard: Shard,
    /// Number of its commit.
    pub n: u32,
    /// Attempt of its commit.
    pub attempt: AttemptId,
    /// Worker process of the attempt.
    pub worker: String,
    /// The ledger.
    pub ledger: Output,
    /// The pairs; `None` if no row keeps a text.
    pub pairs: Option<Output>,
}

impl CommittedShard {
    /// The shard of a commit; `None` for a shard without rows, which has no ledger.
    pub fn of(shard: &Shard, commit: &Commit) -> Option<Self> {
        let output = |table| commit.outputs.iter().find(|output| output.table == table).cloned();
        Some(Self {
            shard: shard.clone(),
            n: commit.n,
            attempt: commit.attempt.clone(),
            worker: commit.worker.clone(),
            ledger: output(Table::Ledger)?,
            pairs: output(Table::Pairs),
        })
    }
}
