//! Names of the newest commits, for readers of their tables.

use super::StatusReader;
use capfilt_schemas::plan::ShardId;

/// Name of a commit, with the time of its write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitName {
    /// The shard.
    pub shard: ShardId,
    /// Number of the commit.
    pub n: u32,
    /// Time of the write in milliseconds since 1970 (UTC), by the clock of the store.
    pub written_ms: i64,
}

impl StatusReader<'_> {
    /// The commits that the last reading has read, newest first: all of a small job, the newest and a sample
    /// of a large one.
    pub fn newest_commits(&self) -> Vec<CommitName> {
        let commits = self.read_commits();
        let names = commits.map(|(shard, n, written_ms)| CommitName { shard: shard.clone(), n, written_ms });
        let mut names: Vec<CommitName> = names.collect();
        names.sort_by(|a, b| b.written_ms.cmp(&a.written_ms).then_with(|| a.shard.cmp(&b.shard)));
        names
    }
}
