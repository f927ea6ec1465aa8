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
//! | in flight   | its worker was killed                  | pending, no try used up; what it had in hand is kept in mind |
//! | in flight   | its worker crashed on another shard    | pending, no try used up                    |
//! | waiting     | `release`                              | pending                                    |
//! | any of them | `let_go`, unless it may stay           | gone: it is somebody else's                |
//! | any of them | `lose_all`                             | done: every shard has its result elsewhere |
//!
//! A shard under suspicion of ending its process (see [`crate::state::poison_rows`]) shares its worker with
//! no other.
//!
//! An event about a shard its worker does not hold changes nothing. Done and quarantined are final.
//!
//! Near the end a shard in flight may be handed out a second time, by `next_copy`. The first commit of the
//! two decides; the other try has lost, and all that is left of it is its worker's time. While both are at
//! it, the end of one leaves the shard to the other: a failure is counted, a death is not even that unless it
//! speaks against the shard.

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

/// Pending shards looked at for one that did not fail on the asking worker.
const LOOK_AHEAD: usize = 16;

/// Rows in hand, by stage.
type InHand = BTreeMap<Stage, Range<u64>>;

/// The shards of a run.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Next first.
    pending: VecDeque<Pending>,
    /// By worker; in the order they were handed out.
    in_flight: BTreeMap<usize, Vec<Held>>,
    waiting: BTreeMap<ShardId, Pending>,
    attempts: u32,
    /// Devices there are, ready or not: each should get a shard before any gets a second.
    workers: usize,
    kills_since_commit: u32,
    /// Shards handed out so far.
    handed_out: u64,
    copies: u64,
    wasted_rows: u64,
}

#[derive(Debug, Clone)]
struct Pending {
    task: Task,
    /// The worker it failed on last: another one should try next, if there is another.
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
    /// Which hand-out it was, from 0.
    order: u64,
    /// Failed attempts on record when it was handed out, without kills; more of them are of a try beside it.
    failed_before: usize,
}

/// What one try is to its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    First,
    /// The second one at the same time.
    Copy,
    /// The other one has committed.
    Lost,
    /// The other one has said that it was not the first: this one may have been.
    MayHaveWon,
}

impl Role {
    /// Whether the shard's result is decided, so that nothing is to be done for this try any more.
    fn is_over(self) -> bool {
        matches!(self, Self::Lost | Self::MayHaveWon)
    }
}

/// What a worker has in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub shard: ShardId,
    pub attempt: AttemptId,
    pub rows: u64,
}

/// What an event did to a shard, and what the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// NoMore to do.
    Noted,
    Committed,
    /// `release` the shard after a back-off that grows with `failures`.
    Retry {
        failures: u32,
    },
    Quarantined,
    /// The result that a try of this process was told to be another's is this try's.
    Won,
    /// The shard was another try's already.
    Lost,
    /// Stop the run.
    Stop,
}

/// A shard a dead worker is blamed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    pub shard: ShardId,
    pub attempt: AttemptId,
    pub effect: Effect,
    /// What it had in hand.
    pub crash: Option<Crash>,
}

impl Queue {
    /// A queue of shards, each of which gets `attempts` tries in all.
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

    /// Takes in one more shard.
    pub fn add(&mut self, task: Task) {
        self.pending.push_back(task.into());
    }

    /// Drops a waiting shard: somebody else will try it.
    pub fn forget(&mut self, shard: &ShardId) {
        self.waiting.remove(shard);
    }

    /// Drops all shards but those on a device that `stays(worker, rows done, rows)`: somebody else will have
    /// them.
    pub fn let_go(&mut self, mut stays: impl FnMut(usize, u64, u64) -> bool) -> Vec<ShardId> {
        self.drop_losers();
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let mut gone: Vec<Task> = self.pending.drain(..).chain(waiting).map(|pending| pending.task).collect();
        for (worker, held) in &mut self.in_flight {
            let goes = |held: &mut Held| !held.is_started || !stays(*worker, held.rows, held.task.shard.rows);
            gone.extend(held.extract_if(.., goes).map(|held| held.task));
        }
        // Of two tries one may stay; when both go, the shard goes once.
        let mut seen = BTreeSet::new();
        gone.retain(|task| !self.leave_to_other(task) && seen.insert(task.shard.id.clone()));
        gone.into_iter().map(|task| task.shard.id).collect()
    }

    /// Every shard has its result somewhere: what is held here has lost, and what is not begun is not needed.
    pub fn lose_all(&mut self) {
        self.pending.clear();
        self.waiting.clear();
        let undecided = self.in_flight.values_mut().flatten().filter(|held| !held.role.is_over());
        undecided.for_each(|held| held.role = Role::Lost);
    }

    /// Drops the tries that have lost; the workers that had one.
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

    /// Hands out a shard under a fresh attempt id, if the worker should have one.
    ///
    /// A second shard at once keeps the device busy while the next is fetched; near the end it would only
    /// keep a shard from an idle device, so it is given only while there is one for every worker.
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

    /// Hands the oldest shard in flight to a worker that would be idle, when no other is left and it has no
    /// second try yet. A shard that may end its process ends one at a time, and one whose second try failed
    /// gets no third beside its first: failures come one after the other, with a back-off in between. Nor
    /// does one that has a single try left: both may fail.
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

    /// Takes in what a worker says.
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
                // Of two tries the loser may be heard first; what it says tells them apart.
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

    /// Takes in that a worker is gone. Its death is blamed on every shard of which it had rows in hand, else
    /// on the one that was on the device, else on the oldest it held; all others go back unharmed.
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
                // The row is named, which is as good as a commit: the run gets on.
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

    /// Second tries handed out so far.
    pub fn copies(&self) -> u64 {
        self.copies
    }

    /// Rows that were done by tries that lost and are over.
    pub fn wasted_rows(&self) -> u64 {
        self.wasted_rows
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

    /// What a worker has in hand, in the order it was handed out.
    pub fn holdings(&self, worker: usize) -> Vec<Holding> {
        let held = self.in_flight.get(&worker).map_or(&[][..], Vec::as_slice);
        let holding = |held: &Held| Holding {
            shard: held.task.shard.id.clone(),
            attempt: held.attempt.clone(),
            rows: held.rows,
        };
        held.iter().map(holding).collect()
    }

    /// Rows and books of all shards in flight; of two tries at one shard, those of the one that is further.
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

    /// All tries at a shard that may still decide it.
    fn tries<'a>(&'a self, shard: &'a ShardId) -> impl Iterator<Item = &'a Held> {
        let is_open = move |held: &&Held| held.task.shard.id == *shard && !held.role.is_over();
        self.in_flight.values().flatten().filter(is_open)
    }

    fn tries_mut<'a>(&'a mut self, shard: &'a ShardId) -> impl Iterator<Item = &'a mut Held> {
        let is_open = move |held: &&mut Held| held.task.shard.id == *shard && !held.role.is_over();
        self.in_flight.values_mut().flatten().filter(is_open)
    }

    /// A try is over, for no fault of the shard: another one is at it, or it is first in line.
    fn put_back(&mut self, held: Held) {
        if held.role.is_over() {
            self.wasted_rows += held.rows;
        } else if !self.leave_to_other(&held.task) {
            self.pending.push_front(held.task.into());
        }
    }

    /// Leaves a shard to its other try, if there is one; what was counted against it counts on.
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

    /// Every shard that is neither done nor quarantined, as often as it is somewhere: for tests of "exactly
    /// once".
    pub fn whereabouts(&self) -> Vec<ShardId> {
        let first = self.in_flight.values().flatten().filter(|held| held.role == Role::First);
        let held = first.map(|held| &held.task);
        let queued = self.pending.iter().chain(self.waiting.values()).map(|pending| &pending.task);
        queued.chain(held).map(|task| task.shard.id.clone()).collect()
    }

    /// Shards in their back-off.
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
    /// A row that is alone in the process has no company: what the stages had is done.
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
