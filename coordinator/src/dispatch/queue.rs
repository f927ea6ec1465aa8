//! Which shard is where: a state machine without IO, clock or chance.
//!
//! | state       | event                                  | next                                       |
//! |-------------|----------------------------------------|--------------------------------------------|
//! | pending     | `next(worker)`                         | in flight with that worker                 |
//! | in flight   | Started, Progress                      | in flight                                  |
//! | in flight   | Committed                              | done                                       |
//! | in flight   | Failed, or its worker crashed on it    | waiting; quarantined when tries are used up |
//! | in flight   | Failed for good (the input changed)    | quarantined                                |
//! | in flight   | Failed, systemic                       | pending, and the caller must stop          |
//! | in flight   | its worker was killed                  | pending, no try used up                    |
//! | in flight   | its worker crashed on another shard    | pending, no try used up                    |
//! | waiting     | `release`                              | pending                                    |
//!
//! An event about a shard its worker does not hold changes nothing. Done and quarantined are final.

use crate::standing::{is_final, uses_an_attempt};
use capfilt_schemas::{
    failure::FailureClass,
    names::AttemptId,
    pipe::{Assignment, Event, SHARDS_IN_CHILD},
    plan::{Shard, ShardId},
    tally::Tally,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Pending shards looked at for one that did not fail on the asking worker.
const LOOK_AHEAD: usize = 16;

/// The shards of a run.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Next first.
    pending: VecDeque<Task>,
    /// By worker; in the order they were handed out.
    in_flight: BTreeMap<usize, Vec<Held>>,
    waiting: BTreeMap<ShardId, Task>,
    attempts: u32,
    /// Devices there are, ready or not: each should get a shard before any gets a second.
    workers: usize,
    kills_since_commit: u32,
}

#[derive(Debug, Clone)]
struct Task {
    shard: Shard,
    failures: u32,
    /// The worker it failed on last: another one should try next, if there is another.
    failed_on: Option<usize>,
}

#[derive(Debug, Clone)]
struct Held {
    task: Task,
    attempt: AttemptId,
    is_started: bool,
    rows: u64,
    tally: Tally,
}

/// What an event did to a shard, and what the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing to do.
    Noted,
    Committed,
    /// `release` the shard after a back-off that grows with `failures`.
    Retry {
        failures: u32,
    },
    Quarantined,
    /// Stop the run.
    Stop,
}

/// The shard a dead worker is blamed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    pub shard: ShardId,
    pub attempt: AttemptId,
    pub effect: Effect,
}

impl Queue {
    /// A queue of shards with the tries each has used up; a shard gets `attempts` tries in all.
    pub fn new(shards: impl IntoIterator<Item = (Shard, u32)>, attempts: u32, workers: usize) -> Self {
        let pending = shards.into_iter().map(|(shard, failures)| Task { shard, failures, failed_on: None }).collect();
        let (in_flight, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { pending, in_flight, waiting, attempts, workers, kills_since_commit: 0 }
    }

    /// Takes in one more shard, with the tries it has used up.
    pub fn add(&mut self, shard: Shard, failures: u32) {
        self.pending.push_back(Task { shard, failures, failed_on: None });
    }

    /// Drops a waiting shard: somebody else will try it.
    pub fn forget(&mut self, shard: &ShardId) {
        self.waiting.remove(shard);
    }

    /// Hands out a shard under a fresh attempt id, if the worker should have one.
    ///
    /// A second shard at once keeps the device busy while the next is fetched; near the end it would only keep a shard
    /// from an idle device, so it is given only while there is one for every worker.
    pub fn next(&mut self, worker: usize, attempt: AttemptId) -> Option<Assignment> {
        let held = self.in_flight.get(&worker).map_or(0, Vec::len);
        let may_have = if held == 0 { 1 } else { self.workers.max(1) };
        if held >= SHARDS_IN_CHILD || self.pending.len() < may_have {
            return None;
        }
        let elsewhere = self.pending.iter().take(LOOK_AHEAD).position(|task| task.failed_on != Some(worker));
        let task = self.pending.remove(elsewhere.unwrap_or(0))?;
        let shard = task.shard.clone();
        let held = Held { task, attempt: attempt.clone(), is_started: false, rows: 0, tally: Tally::default() };
        self.in_flight.entry(worker).or_default().push(held);
        Some(Assignment { shard, attempt, commit_n: 0 })
    }

    /// Takes in what a worker says.
    pub fn on(&mut self, worker: usize, event: &Event) -> Effect {
        match event {
            Event::Ready { .. } => Effect::Noted,
            Event::Started { shard } => self.note(worker, shard, |held| held.is_started = true),
            Event::Progress { shard, rows, tally } => self.note(worker, shard, |held| {
                held.rows = *rows;
                held.tally.clone_from(tally);
            }),
            Event::Committed { shard, .. } => {
                self.kills_since_commit = 0;
                self.take(worker, shard).map_or(Effect::Noted, |_| Effect::Committed)
            }
            Event::Failed { failure } => match self.take(worker, &failure.shard) {
                Some(held) => self.fail(worker, held.task, failure.class),
                None => Effect::Noted,
            },
        }
    }

    /// Takes in that a worker is gone. The shard that was on the device (else the oldest it held) is blamed for a death
    /// of its own; all others go back unharmed.
    pub fn lost(&mut self, worker: usize, class: FailureClass) -> Option<Blamed> {
        self.kills_since_commit += u32::from(!class.counts());
        let mut held = self.in_flight.remove(&worker).unwrap_or_default();
        if held.is_empty() {
            return None;
        }
        let at = held.iter().rposition(|held| held.is_started).unwrap_or(0);
        let blamed = held.remove(at);
        held.into_iter().rev().for_each(|held| self.pending.push_front(held.task));
        let (shard, attempt) = (blamed.task.shard.id.clone(), blamed.attempt);
        let effect = if class.counts() {
            self.fail(worker, blamed.task, class)
        } else {
            self.pending.push_front(blamed.task);
            Effect::Noted
        };
        Some(Blamed { shard, attempt, effect })
    }

    /// Ends a shard's back-off.
    pub fn release(&mut self, shard: &ShardId) {
        self.pending.extend(self.waiting.remove(shard));
    }

    /// Whether every shard is done or quarantined.
    pub fn is_finished(&self) -> bool {
        self.pending.is_empty() && self.waiting.is_empty() && self.in_flight.values().all(Vec::is_empty)
    }

    /// Whether a worker could be given something now.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Shards a worker could be given now.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Shards in flight with any worker.
    pub fn held(&self) -> usize {
        self.in_flight.values().map(Vec::len).sum()
    }

    /// Workers that were killed since the last commit by any of them.
    pub fn kills_since_commit(&self) -> u32 {
        self.kills_since_commit
    }

    /// Shards a worker holds, and how many of their rows are done.
    pub fn held_by(&self, worker: usize) -> (usize, u64) {
        let held = self.in_flight.get(&worker).map_or(&[][..], Vec::as_slice);
        (held.len(), held.iter().map(|held| held.rows).sum())
    }

    /// Rows and books of all shards in flight.
    pub fn in_flight(&self) -> (u64, Tally) {
        self.in_flight.values().flatten().fold((0, Tally::default()), |(rows, mut tally), held| {
            tally.merge(&held.tally);
            (rows + held.rows, tally)
        })
    }

    fn note(&mut self, worker: usize, shard: &ShardId, apply: impl FnOnce(&mut Held)) -> Effect {
        let held =
            self.in_flight.get_mut(&worker).and_then(|held| held.iter_mut().find(|held| held.task.shard.id == *shard));
        held.map(apply);
        Effect::Noted
    }

    fn take(&mut self, worker: usize, shard: &ShardId) -> Option<Held> {
        let held = self.in_flight.get_mut(&worker)?;
        let at = held.iter().position(|held| held.task.shard.id == *shard)?;
        Some(held.remove(at))
    }

    fn fail(&mut self, worker: usize, mut task: Task, class: FailureClass) -> Effect {
        if class.is_systemic() {
            self.pending.push_front(task);
            return Effect::Stop;
        }
        task.failures += u32::from(uses_an_attempt(class));
        task.failed_on = Some(worker);
        if is_final(class) || task.failures >= self.attempts {
            return Effect::Quarantined;
        }
        let failures = task.failures;
        self.waiting.insert(task.shard.id.clone(), task);
        Effect::Retry { failures }
    }

    /// Every shard that is neither done nor quarantined, as often as it is somewhere: for tests of "exactly once".
    pub fn whereabouts(&self) -> Vec<ShardId> {
        let held = self.in_flight.values().flatten().map(|held| &held.task);
        let tasks = self.pending.iter().chain(self.waiting.values()).chain(held);
        tasks.map(|task| task.shard.id.clone()).collect()
    }

    /// Shards in their back-off.
    pub fn waiting(&self) -> BTreeSet<ShardId> {
        self.waiting.keys().cloned().collect()
    }
}
