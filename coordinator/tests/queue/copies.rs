//! Speculative copies near the end of a job: who gets one, and which attempt wins.

use super::{attempt, committed, failed, queue};
use capfilt_coordinator::dispatch::queue::{Effect, Queue};
use capfilt_schemas::{
    failure::FailureClass,
    tally::Tally,
    worker_protocol::{Assignment, Event},
};

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
    let mut queue = super::queue(2, 2);
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
