//! Promises of the queue: random events from a printed seed, copies near the end of a job, and who is blamed.

mod copies;
mod random_events;

use capfilt_coordinator::{
    Task,
    dispatch::queue::{Effect, Queue},
};
use capfilt_schemas::{
    commit::Cost,
    failure::{Crash, Failure, FailureClass},
    object_keys::AttemptId,
    plan::{InputFile, Part, Shard, ShardId},
    tally::Tally,
    worker_protocol::{Assignment, Event, Stage},
};

const ATTEMPTS: u32 = 3;

fn shard(i: u32) -> Shard {
    let file = InputFile { path: "a.parquet".to_owned(), etag: "1".to_owned(), bytes: 1 };
    let id = ShardId::of(&file.path, &file.etag, i..i + 1);
    let part = Part::RowGroups(i..i + 1);
    Shard { id, file: file.into(), part, first_row: 0, rows: 1, rows_exact: true, bytes: 1 }
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
