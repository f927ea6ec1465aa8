//! Read access to the queue: counts, holdings, progress.

use super::{
    Queue,
    held::{Held, Holding, Role},
};
use capfilt_schemas::{plan::ShardId, tally::Tally};
use std::collections::{BTreeMap, BTreeSet};

impl Queue {
    /// Whether every shard is done or quarantined.
    pub fn is_finished(&self) -> bool {
        let mut in_flight = self.in_flight.values().flatten();
        self.pending.is_empty() && self.waiting.is_empty() && in_flight.all(|held| held.role.is_over())
    }

    /// Number of speculative copies handed out.
    pub fn copies(&self) -> u64 {
        self.copies
    }

    /// Rows of attempts that lost and have ended.
    pub fn wasted_rows(&self) -> u64 {
        self.wasted_rows
    }

    /// Whether a shard is pending.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Number of pending shards.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Number of attempts in flight on all worker processes.
    pub fn held(&self) -> usize {
        self.in_flight.values().map(Vec::len).sum()
    }

    /// Kills of worker processes since the last commit.
    pub fn kills_since_commit(&self) -> u32 {
        self.kills_since_commit
    }

    /// Number of shards that a worker process holds, and number of their finished rows.
    pub fn held_by(&self, worker: usize) -> (usize, u64) {
        let held = self.in_flight.get(&worker).map_or(&[][..], Vec::as_slice);
        (held.len(), held.iter().map(|held| held.rows).sum())
    }

    /// Shards that a worker process holds, in the order of their hand-out.
    pub fn holdings(&self, worker: usize) -> Vec<Holding> {
        let held = self.in_flight.get(&worker).map_or(&[][..], Vec::as_slice);
        let holding = |held: &Held| Holding {
            shard: held.task.shard.id.clone(),
            attempt: held.attempt.clone(),
            rows: held.rows,
        };
        held.iter().map(holding).collect()
    }

    /// Finished rows and tally of all shards in flight; of two attempts at a shard, those of the more
    /// advanced one.
    pub fn in_flight(&self) -> (u64, Tally) {
        let mut furthest = BTreeMap::<&ShardId, &Held>::new();
        for held in self.in_flight.values().flatten().filter(|held| !held.role.is_over()) {
            let best = furthest.entry(&held.task.shard.id).or_insert(held);
            if best.rows < held.rows {
                *best = held;
            }
        }
        furthest.into_values().fold((0, Tally::default()), |(rows, mut tally), held| {
            tally.merge(&held.tally);
            (rows + held.rows, tally)
        })
    }

    /// Every shard that is neither done nor quarantined, once per place that has it: for tests of "exactly
    /// once".
    pub fn whereabouts(&self) -> Vec<ShardId> {
        let first = self.in_flight.values().flatten().filter(|held| held.role == Role::First);
        let held = first.map(|held| &held.task);
        let queued = self.pending.iter().chain(self.waiting.values()).map(|pending| &pending.task);
        queued.chain(held).map(|task| task.shard.id.clone()).collect()
    }

    /// Shards in back-off.
    pub fn waiting(&self) -> BTreeSet<ShardId> {
        self.waiting.keys().cloned().collect()
    }
}
