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

mod effect;
mod held;
mod view;

use crate::state::{FailedAttempt, Task};
use capfilt_schemas::{
    failure::FailureClass,
    object_keys::AttemptId,
    plan::ShardId,
    tally::Tally,
    worker_protocol::{Assignment, Event, SHARDS_IN_CHILD},
};
use held::{Held, InHand, Role};

pub use effect::{Blamed, Effect};
pub use held::Holding;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Pending shards that `next` examines to find one that did not fail on the same worker process.
const LOOK_AHEAD: usize = 16;

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
}

fn failures(task: &Task) -> usize {
    task.failed.iter().filter(|failed| failed.class.counts()).count()
}

impl From<Task> for Pending {
    fn from(task: Task) -> Self {
        Self { task, failed_on: None }
    }
}
