//! State machine of a run's shards, without IO, clock or randomness.
//!
//! | state       | event                                  | next                                       |
//! |-------------|----------------------------------------|--------------------------------------------|
//! | pending     | `next(worker)`                         | in flight at that worker process           |
//! | in flight   | Started, Progress                      | in flight                                  |
//! | in flight   | Committed                              | done                                       |
//! | in flight   | Failed, or its process crashed on it   | waiting; quarantined after the last attempt |
//! | in flight   | Failed for good (the input changed)    | quarantined                                |
//! | in flight   | Failed, systemic                       | pending, and the caller must stop          |
//! | in flight   | its worker process was killed          | pending; rows kept in `Crash`, not counted  |
//! | in flight   | its process crashed on another shard   | pending, no attempt counted                |
//! | waiting     | `release`                              | pending                                    |
//! | any         | `let_go`, unless the shard may stay    | gone: another process will execute it      |
//! | any         | `lose_all`                             | done: every shard has a result elsewhere   |
//!
//! A shard with suspected rows (see [`crate::state::poison_rows`]) is the only shard of its worker process.
//!
//! An event about a shard that the worker process does not hold changes nothing. Done and quarantined are
//! final.
//!
//! Near the end a shard may run on two worker processes (`next_copy`, speculative execution). The first
//! commit wins, and the rows of the other attempt count as wasted. If one of the two attempts ends without a
//! commit, the other keeps the shard: a reported failure counts as an attempt, and a crash only if it is
//! blamed on this shard.

use crate::state::{FailedAttempt, Task};
use capfilt_schemas::{
    failure::{Crash, FailureClass},
    names::AttemptId,
    pipe::{Assignment, Event, SHARDS_IN_CHILD, Stage},
    plan::ShardId,
    tally::Tally,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
};

/// Pending shards that `next` examines to find one that did not fail on the same worker process.
const LOOK_AHEAD: usize = 16;

/// Rows in process, by stage.
type InHand = BTreeMap<Stage, Range<u64>>;

/// The shards of a run.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Pending shards, the next one first.
    pending: VecDeque<Pending>,
    /// Attempts by worker process, in the order of their hand-out.
    in_flight: BTreeMap<usize, Vec<Held>>,
    waiting: BTreeMap<ShardId, Pending>,
    attempts: u32,
    /// Number of devices, ready or not: each should have one shard before any has two.
    workers: usize,
    kills_since_commit: u32,
    /// Number of hand-outs.
    handed_out: u64,
    copies: u64,
    wasted_rows: u64,
}

#[derive(Debug, Clone)]
struct Pending {
    task: Task,
    /// Worker process of the last failure; another process, if there is one, should try next.
    failed_on: Option<usize>,
}

#[derive(Debug, Clone)]
struct Held {
    task: Task,
    attempt: AttemptId,
    is_started: bool,
    in_hand: InHand,
    rows: u64,
    tally: Tally,
    role: Role,
    /// Number of this hand-out, from 0.
    order: u64,
    /// Failed attempts, without kills, at the hand-out. A larger number later means that a parallel attempt
    /// failed.
    failed_before: usize,
}

/// Role of one attempt at a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
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
    fn is_over(self) -> bool {
        matches!(self, Self::Lost | Self::MayHaveWon)
    }
}

/// A shard that a worker process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub shard: ShardId,
    pub attempt: AttemptId,
    pub rows: u64,
}

/// Effect of an event on a shard; some require an action of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// No action is required.
    Noted,
    Committed,
    /// `release` the shard after a back-off that grows with `failures`.
    Retry {
        failures: u32,
    },
    Quarantined,
    /// The commit that was counted as another process's is this attempt's.
    Won,
    /// Another attempt had committed the shard before.
    Lost,
    /// Stop the run.
    Stop,
}

/// A shard that is blamed for the end of a worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    pub shard: ShardId,
    pub attempt: AttemptId,
    pub effect: Effect,
    /// Rows that the attempt had in process.
    pub crash: Option<Crash>,
}

impl Queue {
    /// Makes a queue of shards; each shard has `attempts` attempts in total.
    pub fn new(tasks: impl IntoIterator<Item = Task>, attempts: u32, workers: usize) -> Self {
        let pending = tasks.into_iter().map(Pending::from).collect();
        let (in_flight, waiting) = (BTreeMap::new(), BTreeMap::new());
        let (kills_since_commit, handed_out, copies, wasted_rows) = (0, 0, 0, 0);
        Self {
            pending,
            in_flight,
            waiting,
            attempts,
            workers,
            kills_since_commit,
            handed_out,
            copies,
            wasted_rows,
        }
    }

    /// Adds a shard.
    pub fn add(&mut self, task: Task) {
        self.pending.push_back(task.into());
    }

    /// Drops a waiting shard, because another process will execute it.
    pub fn forget(&mut self, shard: &ShardId) {
        self.waiting.remove(shard);
    }

    /// Drops all shards except those in flight for which `stays(worker, rows done, rows)` holds, and returns
    /// the dropped shards: other processes will execute them.
    pub fn let_go(&mut self, mut stays: impl FnMut(usize, u64, u64) -> bool) -> Vec<ShardId> {
        self.drop_losers();
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let mut gone: Vec<Task> = self.pending.drain(..).chain(waiting).map(|pending| pending.task).collect();
        for (worker, held) in &mut self.in_flight {
            let goes = |held: &mut Held| !held.is_started || !stays(*worker, held.rows, held.task.shard.rows);
            gone.extend(held.extract_if(.., goes).map(|held| held.task));
        }
        // If one of two attempts stays, the shard stays. If both go, the shard is returned once.
        let mut seen = BTreeSet::new();
        gone.retain(|task| !self.leave_to_other(task) && seen.insert(task.shard.id.clone()));
        gone.into_iter().map(|task| task.shard.id).collect()
    }

    /// Marks all attempts as lost and drops all other shards: every shard has a result in the bucket.
    pub fn lose_all(&mut self) {
        self.pending.clear();
        self.waiting.clear();
        let undecided = self.in_flight.values_mut().flatten().filter(|held| !held.role.is_over());
        undecided.for_each(|held| held.role = Role::Lost);
    }

    /// Drops the lost attempts and returns the worker processes that held them.
    pub fn drop_losers(&mut self) -> Vec<usize> {
        let mut workers = Vec::new();
        for (worker, held) in &mut self.in_flight {
            for loser in held.extract_if(.., |held| held.role.is_over()) {
                self.wasted_rows += loser.rows;
                workers.push(*worker);
            }
        }
        workers
    }

    /// Hands out a shard under a new attempt id if the worker process should have one.
    ///
    /// A second shard keeps the device busy while the next shard is fetched. Near the end, a second shard
    /// would only be kept from an idle device. It is therefore handed out only if a pending shard remains for
    /// every worker process.
    pub fn next(&mut self, worker: usize, attempt: AttemptId) -> Option<Assignment> {
        let held = self.in_flight.get(&worker).map_or(&[][..], Vec::as_slice);
        let may_have = if held.is_empty() { 1 } else { self.workers.max(1) };
        let is_alone = held.iter().any(|held| held.task.is_suspected());
        if is_alone || held.len() >= SHARDS_IN_CHILD || self.pending.len() < may_have {
            return None;
        }
        let suits = |pending: &Pending| held.is_empty() || !pending.task.is_suspected();
        let near = || self.pending.iter().take(LOOK_AHEAD).enumerate().filter(|(_, pending)| suits(pending));
        let elsewhere = near().find(|(_, pending)| pending.failed_on != Some(worker));
        let (at, _) = elsewhere.or_else(|| near().next())?;
        let task = self.pending.remove(at)?.task;
        Some(self.hand_out(worker, task, attempt, Role::First))
    }

    /// Hands the oldest shard in flight, as a speculative copy, to a worker process that would be idle, when
    /// no shard is pending.
    ///
    /// A shard gets no copy in three cases, so that failures come one after the other with a back-off in
    /// between: it has suspected rows; a parallel attempt at it has failed; or only one attempt is left (both
    /// could fail).
    pub fn next_copy(&mut self, worker: usize, attempt: AttemptId) -> Option<Assignment> {
        if !self.pending.is_empty() || self.held_by(worker).0 > 0 {
            return None;
        }
        let has_copy = |shard: &ShardId| self.tries(shard).any(|held| held.role == Role::Copy);
        let in_flight = self.in_flight.values().flatten().filter(|held| held.role == Role::First);
        let may_have = |held: &Held| {
            let has_tries =
                held.task.used() + 2 <= self.attempts && failures(&held.task) == held.failed_before;
            has_tries && !held.task.is_suspected() && !has_copy(&held.task.shard.id)
        };
        let open = in_flight.filter(|held| may_have(held));
        let task = open.min_by_key(|held| held.order)?.task.clone();
        self.copies += 1;
        Some(self.hand_out(worker, task, attempt, Role::Copy))
    }

    fn hand_out(&mut self, worker: usize, task: Task, attempt: AttemptId, role: Role) -> Assignment {
        let (assignment, order) = (task.assignment(attempt.clone()), self.handed_out);
        self.handed_out += 1;
        let (is_started, in_hand, rows, tally) = (false, InHand::new(), 0, Tally::default());
        let failed_before = failures(&task);
        let held = Held { task, attempt, is_started, in_hand, rows, tally, role, order, failed_before };
        self.in_flight.entry(worker).or_default().push(held);
        assignment
    }

    /// Applies an event of a worker process.
    pub fn on(&mut self, worker: usize, event: &Event) -> Effect {
        match event {
            Event::Ready { .. } => Effect::Noted,
            Event::Handling { shard, stage, rows } => {
                self.note(worker, shard, |held| held.handle(*stage, rows.clone()))
            }
            Event::Started { shard } => self.note(worker, shard, |held| held.is_started = true),
            Event::Progress { shard, rows, tally } => self.note(worker, shard, |held| {
                held.rows = *rows;
                held.tally.clone_from(tally);
            }),
            Event::Committed { shard, rows, superseded, .. } => {
                self.kills_since_commit = 0;
                let Some(held) = self.take(worker, shard) else { return Effect::Noted };
                // The loser of two attempts may report first; `superseded` tells the two apart.
                self.wasted_rows += if *superseded { *rows } else { 0 };
                match held.role {
                    Role::MayHaveWon if !superseded => return Effect::Won,
                    role if role.is_over() => return Effect::Lost,
                    _ => {}
                }
                let other = if *superseded { Role::MayHaveWon } else { Role::Lost };
                self.tries_mut(shard).for_each(|held| held.role = other);
                Effect::Committed
            }
            Event::Failed { failure } => match self.take(worker, &failure.shard) {
                Some(held) if held.role.is_over() => {
                    self.wasted_rows += held.rows;
                    Effect::Lost
                }
                Some(held) => self.fail(worker, held.task, FailedAttempt::from(failure)),
                None => Effect::Noted,
            },
        }
    }

    /// Applies the end of a worker process. The blame falls on every shard with rows in process, else on the
    /// shard that was on the device, else on the oldest one that the process held. All other shards become
    /// pending again without a counted attempt.
    pub fn lost(&mut self, worker: usize, class: FailureClass) -> Vec<Blamed> {
        self.kills_since_commit += u32::from(class.is_kill());
        let held = self.in_flight.remove(&worker).unwrap_or_default();
        let on_device = held.iter().rposition(|held| held.is_started).unwrap_or(0);
        let has_rows_in_hand = held.iter().any(|held| !held.in_hand.is_empty());
        let is_blamed = |(at, held): (usize, &Held)| {
            if has_rows_in_hand { !held.in_hand.is_empty() } else { at == on_device }
        };
        let verdicts: Vec<bool> = held.iter().enumerate().map(is_blamed).collect();
        let mut blamed = Vec::new();
        for (held, is_blamed) in held.into_iter().zip(verdicts).rev() {
            if !is_blamed || held.role.is_over() {
                self.put_back(held);
                continue;
            }
            let (shard, attempt) = (held.task.shard.id.clone(), held.attempt.clone());
            let crash = held.crash();
            if crash.alone && class.counts() {
                // The row is identified, which is progress like a commit.
                self.kills_since_commit = 0;
            }
            let effect = self.blame(worker, held, FailedAttempt { class, crash: Some(crash.clone()) });
            blamed.push(Blamed { shard, attempt, effect, crash: Some(crash) });
        }
        blamed
    }

    fn blame(&mut self, worker: usize, mut held: Held, failed: FailedAttempt) -> Effect {
        if failed.class.counts() {
            return self.fail(worker, held.task, failed);
        }
        if failed.crash.as_ref().is_some_and(|crash| !crash.rows.is_empty()) {
            held.task.failed.push(failed);
        }
        self.put_back(held);
        Effect::Noted
    }

    /// Ends a shard's back-off.
    pub fn release(&mut self, shard: &ShardId) {
        self.pending.extend(self.waiting.remove(shard));
    }

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

    /// All attempts at a shard that may still decide it.
    fn tries<'a>(&'a self, shard: &'a ShardId) -> impl Iterator<Item = &'a Held> {
        let is_open = move |held: &&Held| held.task.shard.id == *shard && !held.role.is_over();
        self.in_flight.values().flatten().filter(is_open)
    }

    fn tries_mut<'a>(&'a mut self, shard: &'a ShardId) -> impl Iterator<Item = &'a mut Held> {
        let is_open = move |held: &&mut Held| held.task.shard.id == *shard && !held.role.is_over();
        self.in_flight.values_mut().flatten().filter(is_open)
    }

    /// Ends an attempt without blame: the parallel attempt keeps the shard, or the shard is pending first.
    fn put_back(&mut self, held: Held) {
        if held.role.is_over() {
            self.wasted_rows += held.rows;
        } else if !self.leave_to_other(&held.task) {
            self.pending.push_front(held.task.into());
        }
    }

    /// Leaves a shard to its parallel attempt, if there is one, with the failures counted so far.
    fn leave_to_other(&mut self, task: &Task) -> bool {
        let other = self.tries_mut(&task.shard.id).next();
        other.map(|other| (other.role, other.task.failed) = (Role::First, task.failed.clone())).is_some()
    }

    fn note(&mut self, worker: usize, shard: &ShardId, apply: impl FnOnce(&mut Held)) -> Effect {
        let held = self
            .in_flight
            .get_mut(&worker)
            .and_then(|held| held.iter_mut().find(|held| held.task.shard.id == *shard));
        held.map(apply);
        Effect::Noted
    }

    fn take(&mut self, worker: usize, shard: &ShardId) -> Option<Held> {
        let held = self.in_flight.get_mut(&worker)?;
        let at = held.iter().position(|held| held.task.shard.id == *shard)?;
        Some(held.remove(at))
    }

    fn fail(&mut self, worker: usize, mut task: Task, failed: FailedAttempt) -> Effect {
        let class = failed.class;
        if class.is_systemic() {
            if !self.leave_to_other(&task) {
                self.pending.push_front(task.into());
            }
            return Effect::Stop;
        }
        task.failed.push(failed);
        if self.leave_to_other(&task) {
            return Effect::Noted;
        }
        let failures = task.used();
        if class.is_final() || failures >= self.attempts {
            return Effect::Quarantined;
        }
        self.waiting.insert(task.shard.id.clone(), Pending { task, failed_on: Some(worker) });
        Effect::Retry { failures }
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

fn failures(task: &Task) -> usize {
    task.failed.iter().filter(|failed| failed.class.counts()).count()
}

impl From<Task> for Pending {
    fn from(task: Task) -> Self {
        Self { task, failed_on: None }
    }
}

impl Held {
    /// A row in process alone has no other rows beside it: the stages before it are finished.
    fn handle(&mut self, stage: Stage, rows: Range<u64>) {
        if stage == Stage::Alone {
            self.in_hand.clear();
        } else {
            self.in_hand.remove(&Stage::Alone);
        }
        self.in_hand.insert(stage, rows);
    }

    fn crash(&self) -> Crash {
        let alone = self.in_hand.contains_key(&Stage::Alone);
        Crash { rows: self.in_hand.values().cloned().collect(), alone }
    }
}
