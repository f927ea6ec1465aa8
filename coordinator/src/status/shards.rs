//! Shards of a job for people: a grid of their states in plan order, and the shards with failed attempts.

use super::StatusReader;
use crate::state::ShardState;
use capfilt_schemas::{failure::Failure, plan::Shard};

/// Shards of a job, of bounded size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShardGrid {
    /// Groups of successive shards of the plan.
    pub cells: Vec<ShardCell>,
    /// Shards with failed attempts: quarantined ones first, then open ones, then committed ones, each in plan
    /// order.
    pub failed: Vec<FailedShard>,
    /// Number of all shards with failed attempts.
    pub failed_total: u64,
}

/// A group of successive shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardCell {
    /// Number of the first shard in the plan, from 0.
    pub first: u64,
    /// Number of shards.
    pub shards: u64,
    /// Committed shards.
    pub committed: u64,
    /// Quarantined shards.
    pub quarantined: u64,
    /// The part of the committed ones that a retry executes again.
    pub repairing: u64,
    /// Open shards with a failed attempt.
    pub failing: u64,
}

/// A shard with failed attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedShard {
    /// The shard.
    pub shard: Shard,
    /// State, in a word: `quarantined`, `open`, `committed` or `repairing`.
    pub state: &'static str,
    /// Number of failed attempts.
    pub attempts: usize,
    /// The newest failure.
    pub last: Failure,
}

impl StatusReader<'_> {
    /// Shards at the last reading, in at most `cells` groups, with at most `failed` shards that have
    /// failures.
    pub fn grid(&self, cells: usize, failed: usize) -> ShardGrid {
        let (record, plan, state) = self.parts();
        let attempts = record.settings.limits.attempts;
        let per_cell = plan.len().div_ceil(cells.max(1)).max(1);
        let mut grid = ShardGrid::default();
        for (number, shards) in plan.chunks(per_cell).enumerate() {
            let first = (number * per_cell) as u64;
            let mut cell = ShardCell { first, shards: shards.len() as u64, ..ShardCell::default() };
            for shard in shards {
                let has_failed = state.failures.get(&shard.id).is_some_and(|failures| !failures.is_empty());
                cell.add(state.of(&shard.id, attempts), has_failed);
                grid.failed_total += u64::from(has_failed);
            }
            grid.cells.push(cell);
        }
        let with_failures = plan.iter().filter_map(|shard| {
            let failures = state.failures.get(&shard.id)?;
            let state = word(state.of(&shard.id, attempts));
            Some(FailedShard {
                shard: shard.clone(),
                state,
                attempts: failures.len(),
                last: failures.last()?.clone(),
            })
        });
        grid.failed = with_failures.collect();
        grid.failed.sort_by_key(|one| rank(one.state));
        grid.failed.truncate(failed);
        grid
    }
}

impl ShardCell {
    fn add(&mut self, state: ShardState<'_>, has_failed: bool) {
        match state {
            ShardState::Committed(_) => self.committed += 1,
            ShardState::Repairing(_) => {
                (self.committed, self.repairing) = (self.committed + 1, self.repairing + 1)
            }
            ShardState::Quarantined(_) => self.quarantined += 1,
            ShardState::Open => self.failing += u64::from(has_failed),
        }
    }
}

fn word(state: ShardState<'_>) -> &'static str {
    match state {
        ShardState::Committed(_) => "committed",
        ShardState::Repairing(_) => "repairing",
        ShardState::Quarantined(_) => "quarantined",
        ShardState::Open => "open",
    }
}

fn rank(state: &str) -> usize {
    ["quarantined", "open", "repairing"].iter().position(|known| *known == state).unwrap_or(usize::MAX)
}
