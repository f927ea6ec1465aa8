//! The queue under random events, compared with the test's own model of the shards.

use super::{ATTEMPTS, attempt, committed, failed, queue};
use capfilt_coordinator::dispatch::queue::{Effect, Queue};
use capfilt_schemas::{
    failure::FailureClass,
    plan::ShardId,
    worker_protocol::{Assignment, SHARDS_IN_CHILD},
};
use std::collections::{BTreeMap, BTreeSet};

const WORKERS: usize = 3;

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
