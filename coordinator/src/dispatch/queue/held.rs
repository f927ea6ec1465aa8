//! An attempt at a shard that a worker process holds.

use crate::state::Task;
use capfilt_schemas::{
    failure::Crash, object_keys::AttemptId, plan::ShardId, tally::Tally, worker_protocol::Stage,
};
use std::{collections::BTreeMap, ops::Range};

/// Rows in process, by stage.
pub(super) type InHand = BTreeMap<Stage, Range<u64>>;

#[derive(Debug, Clone)]
pub(super) struct Held {
    pub task: Task,
    pub attempt: AttemptId,
    pub is_started: bool,
    pub in_hand: InHand,
    pub rows: u64,
    pub tally: Tally,
    pub role: Role,
    /// Number of this hand-out, from 0.
    pub order: u64,
    /// Failed attempts, without kills, at the hand-out. A larger number later means that a parallel attempt
    /// failed.
    pub failed_before: usize,
}

/// Role of one attempt at a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    First,
    /// A speculative copy, beside the first attempt.
    Copy,
    /// The other attempt has committed.
    Lost,
    /// The other attempt reported that it was superseded: this attempt may have won.
    MayHaveWon,
}

impl Role {
    /// Whether the shard's result is decided, so that this attempt has nothing left to do.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Lost | Self::MayHaveWon)
    }
}

impl Held {
    /// A row in process alone has no other rows beside it: the stages before it are finished.
    pub(super) fn handle(&mut self, stage: Stage, rows: Range<u64>) {
        if stage == Stage::Alone {
            self.in_hand.clear();
        } else {
            self.in_hand.remove(&Stage::Alone);
        }
        self.in_hand.insert(stage, rows);
    }

    pub(super) fn crash(&self) -> Crash {
        let alone = self.in_hand.contains_key(&Stage::Alone);
        Crash { rows: self.in_hand.values().cloned().collect(), alone }
    }
}

/// A shard that a worker process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The shard.
    pub shard: ShardId,
    /// The attempt at it.
    pub attempt: AttemptId,
    /// Finished rows.
    pub rows: u64,
}
