//! Promises of the queue under random events from a printed seed.

#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

use capfilt_coordinator::{
    Task,
    dispatch::queue::{Effect, Queue},
};
use capfilt_schemas::{
    commit::Cost,
    failure::{Crash, Failure, FailureClass},
    object_keys::AttemptId,
    plan::{InputFile, Shard, ShardId},
    tally::Tally,
    worker_protocol::{Assignment, Event, SHARDS_IN_CHILD, Stage},
};
use std::collections::{BTreeMap, BTreeSet};

const WORKERS: usize = 3;
const ATTEMPTS: u32 = 3;

fn shard(i: u32) -> Shard {
    let file = InputFile { path: "a.parquet".to_owned(), etag: "1".to_owned(), bytes: 1 };
    let id = ShardId::of(&file.path, &file.etag, i..i + 1);
    Shard { id, file: file.into(), row_groups: i..i + 1, first_row: 0, rows: 1, bytes: 1 }
}

fn queue(shards: u32, workers: usize) -> Queue {
    Queue::new((0..shards).map(|i| Task::new(shard(i))), ATTEMPTS, workers)
}

fn attempt(i: u64) -> AttemptId {
    AttemptId::from_random(u128::from(i))
}

fn committed(assignment: &Assignment) -> Event {
    let (shard, attempt) = (assignment.shard.id.clone(), assignment.attempt.clone());
    Event::Committed {
        shard,
        attempt,
        rows: 1,
        tally: Tally::default(),
        superseded: false,
        cost: Cost::default(),
    }
}

fn failed(assignment: &Assignment, class: FailureClass) -> Event {
    let (shard, attempt) = (assignment.shard.id.clone(), assignment.attempt.clone());
    Event::Failed {
        failure: Failure {
            version: 1,
            shard,
            attempt,
            worker: "w".to_owned(),
            class,
            message: String::new(),
            crash: None,
            job: None,
        },
    }
}

/// SplitMix64: a seed gives the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

/// The test's own model of the shards, independent of the queue.
#[derive(Default)]
struct Model {
    held: BTreeMap<usize, Vec<Assignment>>,
    counted: BTreeMap<ShardId, u32>,
    decided: BTreeSet<ShardId>,
}

impl Model {
    /// Whether a worker holds the shard.
    fn is_held(&self, shard: &ShardId) -> bool {
        self.held.values().flatten().any(|assignment| assignment.shard.id == *shard)
    }

    /// Applies a failed attempt that no worker holds any more.
    fn fail(&mut self, shard: &ShardId, class: FailureClass, effect: &Effect) {
        if self.decided.contains(shard) {
            assert_eq!(*effect, Effect::Lost);
            return;
        }
        *self.counted.entry(shard.clone()).or_default() += u32::from(class.counts());
        let counted = self.counted[shard];
        assert!(counted <= ATTEMPTS, "shard {shard} was tried {counted} times");
        match effect {
            Effect::Noted => assert!(self.is_held(shard), "no worker continues {shard}"),
            Effect::Quarantined => assert!(self.decided.insert(shard.clone()), "{shard} was decided twice"),
            Effect::Retry { .. } => assert!(counted < ATTEMPTS),
            other => panic!("a failure cannot be {other:?}"),
        }
    }
}

#[test]
fn no_shard_is_lost_held_twice_or_tried_too_often_whatever_happens() {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    for round in 0..200 {
        let mut dice = Dice(seed.wrapping_add(round));
        let shards = 1 + dice.roll(30) as u32;
        let mut queue = queue(shards, WORKERS);
        let (mut model, mut steps) = (Model::default(), 0);
        while !queue.is_finished() {
            step(&mut queue, &mut model, &mut dice, steps);
            steps += 1;
            every_shard_is_somewhere_once(&queue, &model, shards);
            assert!(steps < 100_000, "the queue never ends");
        }
        assert_eq!(model.decided.len(), shards as usize);
    }
}

fn step(queue: &mut Queue, model: &mut Model, dice: &mut Dice, nonce: u64) {
    const CLASSES: [FailureClass; 4] = [
        FailureClass::Store,
        FailureClass::InputChanged,
        FailureClass::DeviceMemory,
        FailureClass::WorkerCrashed,
    ];
    let worker = dice.roll(WORKERS);
    let held = model.held.entry(worker).or_default();
    match dice.roll(9) {
        0..=2 => held.extend(queue.next(worker, attempt(nonce))),
        8 => {
            let copy = queue.next_copy(worker, attempt(nonce));
            let all = model.held.values().flatten();
            let tries = |copy: &Assignment| all.filter(|held| held.shard.id == copy.shard.id).count();
            assert!(
                copy.as_ref().is_none_or(|copy| tries(copy) == 1),
                "a copy of a shard without a holder, or a third attempt"
            );
            model.held.entry(worker).or_default().extend(copy);
        }
        3..=4 if !held.is_empty() => {
            let assignment = held.remove(dice.roll(held.len()));
            let effect = queue.on(worker, &committed(&assignment));
            let is_first = model.decided.insert(assignment.shard.id.clone());
            assert_eq!(effect, if is_first { Effect::Committed } else { Effect::Lost });
            // A repeated report changes nothing.
            assert_eq!(queue.on(worker, &committed(&assignment)), Effect::Noted);
        }
        5 if !held.is_empty() => {
            let assignment = held.remove(dice.roll(held.len()));
            let class = CLASSES[dice.roll(CLASSES.len())];
            let effect = queue.on(worker, &failed(&assignment, class));
            model.fail(&assignment.shard.id, class, &effect);
        }
        6 => {
            let class =
                if dice.roll(2) == 0 { FailureClass::WorkerKilled } else { FailureClass::WorkerCrashed };
            held.clear();
            let blamed = queue.lost(worker, class);
            blamed
                .iter()
                .filter(|_| class.counts())
                .for_each(|one| model.fail(&one.shard, class, &one.effect));
        }
        _ => queue.waiting().iter().for_each(|shard| queue.release(shard)),
    }
    assert!(model.held[&worker].len() <= SHARDS_IN_CHILD);
    assert_eq!(queue.held_by(worker).0, model.held[&worker].len());
}

fn every_shard_is_somewhere_once(queue: &Queue, model: &Model, shards: u32) {
    let mut all = queue.whereabouts();
    all.extend(model.decided.iter().cloned());
    let distinct: BTreeSet<&ShardId> = all.iter().collect();
    assert_eq!(
        (all.len(), distinct.len()),
        (shards as usize, shards as usize),
        "a shard is lost or in two places"
    );
}

/// The last two shards, each in flight at one worker, and an idle third worker with a copy of the older
/// shard.
fn tail() -> (Queue, [Assignment; 3]) {
    let mut queue = queue(2, 3);
    let first = queue.next(0, attempt(1)).unwrap();
    let second = queue.next(1, attempt(2)).unwrap();
    let copy = queue.next_copy(2, attempt(3)).unwrap();
    (queue, [first, second, copy])
}

#[test]
fn an_idle_worker_gets_the_oldest_shard_in_flight_and_only_one_of_them_does() {
    let (mut queue, [first, second, copy]) = tail();
    assert_eq!((&copy.shard, queue.copies()), (&first.shard, 1));
    assert_ne!(copy.attempt, first.attempt);
    assert!(queue.next_copy(2, attempt(4)).is_none(), "it is not idle");
    assert_eq!(queue.whereabouts().len(), 2, "a copy is not a second shard");
    assert_eq!(queue.on(1, &committed(&second)), Effect::Committed);
    assert!(queue.next_copy(1, attempt(5)).is_none(), "two workers have the last shard already");
    let mut queue = self::queue(2, 2);
    queue.next(0, attempt(1)).unwrap();
    assert!(queue.next_copy(1, attempt(6)).is_none(), "one shard is pending");
}

#[test]
fn the_first_commit_decides_and_what_the_loser_did_is_counted_as_wasted() {
    let (mut queue, [first, second, copy]) = tail();
    queue.on(1, &committed(&second));
    assert_eq!(queue.on(2, &committed(&copy)), Effect::Committed);
    assert!(queue.is_finished(), "the loser is not waited for");
    let Event::Committed { shard, attempt, rows, tally, cost, .. } = committed(&first) else {
        unreachable!()
    };
    assert_eq!(queue.wasted_rows(), 0);
    let lost = Event::Committed { shard, attempt, rows, tally, cost, superseded: true };
    assert_eq!((queue.on(0, &lost), queue.wasted_rows()), (Effect::Lost, 1));
    assert_eq!(queue.on(0, &lost), Effect::Noted);
}

#[test]
fn the_try_that_won_is_known_although_the_loser_was_heard_first() {
    let (mut queue, [first, second, copy]) = tail();
    queue.on(1, &committed(&second));
    let Event::Committed { shard, attempt, rows, tally, cost, .. } = committed(&copy) else { unreachable!() };
    let lost = Event::Committed { shard, attempt, rows, tally, cost, superseded: true };
    assert_eq!((queue.on(2, &lost), queue.wasted_rows()), (Effect::Committed, 1));
    assert!(queue.is_finished(), "the shard has its result");
    assert_eq!((queue.on(0, &committed(&first)), queue.wasted_rows()), (Effect::Won, 1));
}

#[test]
fn a_settled_job_leaves_nothing_to_do_and_what_was_in_hand_is_wasted() {
    let mut queue = queue(4, 2);
    let first = queue.next(0, attempt(1)).unwrap();
    queue.next(1, attempt(2)).unwrap();
    queue.on(0, &Event::Progress { shard: first.shard.id.clone(), rows: 7, tally: Tally::default() });
    queue.lose_all();
    assert!(queue.is_finished() && !queue.has_pending());
    assert_eq!((queue.in_flight().0, queue.whereabouts().len()), (0, 0));
    assert_eq!((queue.drop_losers(), queue.wasted_rows(), queue.held()), (vec![0, 1], 7, 0));
    assert_eq!(queue.on(0, &committed(&first)), Effect::Noted);
}

#[test]
fn a_shard_stays_with_its_other_worker_when_one_fails_and_is_tried_again_when_both_do() {
    let (mut queue, [first, second, copy]) = tail();
    queue.on(1, &committed(&second));
    assert_eq!(queue.on(0, &failed(&first, FailureClass::Store)), Effect::Noted);
    assert!(queue.waiting().is_empty(), "the copy continues");
    assert!(queue.next_copy(0, attempt(8)).is_none(), "no third attempt without a back-off");
    let effect = queue.on(2, &failed(&copy, FailureClass::Store));
    assert_eq!(effect, Effect::Retry { failures: 2 }, "both attempts count");
    queue.release(&first.shard.id);
    assert_eq!(queue.next(0, attempt(8)).unwrap().shard, first.shard);
    assert!(queue.next_copy(1, attempt(9)).is_none(), "it has one attempt left");
    let (mut queue, [first, _, _]) = tail();
    let blamed = queue.lost(2, FailureClass::WorkerKilled);
    assert_eq!((&blamed[0].shard, queue.pending()), (&first.shard.id, 0));
    assert_eq!(
        queue.next_copy(2, attempt(9)).unwrap().shard,
        first.shard,
        "an idle worker may get a copy again"
    );
    assert_eq!(queue.lost(0, FailureClass::WorkerKilled)[0].effect, Effect::Noted);
    assert_eq!((queue.pending(), queue.whereabouts().len()), (0, 2));
    queue.lost(2, FailureClass::WorkerKilled);
    assert_eq!((queue.pending(), queue.whereabouts().len()), (1, 2), "without a holder it is pending first");
}

#[test]
fn a_shard_with_two_tries_is_let_go_once_and_not_while_one_of_them_stays() {
    let (mut queue, [first, second, copy]) = tail();
    for (worker, try_) in [(0, &first), (1, &second), (2, &copy)] {
        queue.on(worker, &Event::Started { shard: try_.shard.id.clone() });
    }
    queue.on(1, &committed(&second));
    let (mut both_go, mut one_stays) = (queue.clone(), queue);
    assert_eq!(both_go.let_go(|_, _, _| false), std::slice::from_ref(&first.shard.id));
    assert!(one_stays.let_go(|worker, _, _| worker == 2).is_empty());
    assert_eq!((one_stays.held_by(0).0, one_stays.whereabouts()), (0, vec![first.shard.id.clone()]));
    assert_eq!(one_stays.on(2, &committed(&copy)), Effect::Committed);
}

#[test]
fn the_shard_on_the_device_is_blamed_and_its_neighbour_goes_back_unharmed() {
    let mut queue = queue(4, 1);
    let first = queue.next(0, attempt(1)).unwrap();
    let second = queue.next(0, attempt(2)).unwrap();
    queue.on(0, &Event::Started { shard: first.shard.id.clone() });
    let blamed = queue.lost(0, FailureClass::WorkerCrashed);
    assert_eq!(blamed.iter().map(|one| &one.shard).collect::<Vec<_>>(), [&first.shard.id]);
    assert_eq!(blamed[0].effect, Effect::Retry { failures: 1 });
    assert_eq!(queue.next(0, attempt(3)).unwrap().shard, second.shard);
}

#[test]
fn a_crash_is_blamed_on_every_shard_with_rows_in_hand_and_each_is_then_alone_in_its_worker() {
    let mut queue = queue(4, 1);
    let (first, second) = (queue.next(0, attempt(1)).unwrap(), queue.next(0, attempt(2)).unwrap());
    let handling = |assignment: &Assignment, stage, rows| {
        let shard = assignment.shard.id.clone();
        Event::Handling { shard, stage, rows }
    };
    queue.on(0, &handling(&first, Stage::Decode, 0..8));
    queue.on(0, &handling(&first, Stage::Device, 0..4));
    queue.on(0, &handling(&second, Stage::Decode, 8..16));
    let blamed = queue.lost(0, FailureClass::WorkerCrashed);
    let crash_of = |assignment: &Assignment| {
        blamed.iter().find(|one| one.shard == assignment.shard.id).and_then(|one| one.crash.clone()).unwrap()
    };
    assert_eq!(crash_of(&first), Crash { rows: vec![0..8, 0..4], alone: false });
    assert_eq!(crash_of(&second), Crash { rows: vec![8..16], alone: false });
    let done = |queue: &mut Queue| {
        let next = queue.next(0, attempt(3)).unwrap();
        queue.on(0, &committed(&next));
        next.shard.id
    };
    let innocent = [done(&mut queue), done(&mut queue)];
    assert!(!innocent.contains(&first.shard.id) && !innocent.contains(&second.shard.id));
    queue.release(&first.shard.id);
    queue.release(&second.shard.id);
    let suspect = queue.next(0, attempt(4)).unwrap();
    assert_eq!(suspect.try_alone, [], "one death is not sufficient");
    assert!(queue.next(0, attempt(5)).is_none(), "a suspected shard is alone");
    queue.on(0, &handling(&suspect, Stage::Device, 0..16));
    queue.lost(0, FailureClass::WorkerCrashed);
    done(&mut queue);
    queue.release(&suspect.shard.id);
    assert_eq!(
        queue.next(0, attempt(6)).unwrap().try_alone,
        if suspect.shard == first.shard { vec![0..8, 0..4] } else { vec![8..16] }
    );
}

#[test]
fn near_the_end_an_idle_worker_comes_before_a_second_shard() {
    let mut queue = queue(3, 2);
    assert!(queue.next(0, attempt(1)).is_some());
    assert!(queue.next(0, attempt(2)).is_some(), "two are pending, one for every worker");
    assert!(queue.next(1, attempt(3)).is_some());
    let mut queue = self::queue(2, 2);
    assert!(queue.next(0, attempt(1)).is_some());
    assert!(queue.next(0, attempt(2)).is_none(), "the last shard is for the other worker");
    assert!(queue.next(1, attempt(3)).is_some());
}

#[test]
fn a_shard_that_failed_tries_another_worker_first() {
    let mut queue = queue(2, 2);
    let first = queue.next(0, attempt(1)).unwrap();
    queue.on(0, &failed(&first, FailureClass::Store));
    queue.release(&first.shard.id);
    assert_ne!(queue.next(0, attempt(2)).unwrap().shard, first.shard);
    assert_eq!(queue.next(1, attempt(3)).unwrap().shard, first.shard);
}

#[test]
fn kills_use_up_no_try_and_are_counted_until_the_next_commit() {
    let mut queue = queue(1, 1);
    for kills in 1..=10 {
        queue.next(0, attempt(kills)).unwrap();
        assert_eq!(queue.lost(0, FailureClass::WorkerKilled)[0].effect, Effect::Noted);
        assert_eq!(u64::from(queue.kills_since_commit()), kills);
    }
    let last = queue.next(0, attempt(11)).unwrap();
    assert_eq!(queue.on(0, &committed(&last)), Effect::Committed);
    assert_eq!(queue.kills_since_commit(), 0);
}

#[test]
fn a_systemic_failure_stops_the_run_and_leaves_its_shard_open() {
    let mut queue = queue(1, 1);
    let only = queue.next(0, attempt(1)).unwrap();
    assert_eq!(queue.on(0, &failed(&only, FailureClass::FailureBudget)), Effect::Stop);
    assert!(!queue.is_finished());
}
