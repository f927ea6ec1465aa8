//! The contract of the create-only put, on which the commit protocol depends.
//!
//! Each function checks one promise of `Location::create` and panics with the promise that is broken. The
//! location must be empty, and the store under it sound.

use crate::{Cause, Fault, FaultyStore, Request};
use bytes::Bytes;
use capfilt_store::{Location, PutOutcome};
use futures::future::join_all;
use std::sync::Arc;

/// Creates of one name at the same time.
const RACERS: usize = 32;

/// Parts of names that URLs, shells or file systems treat specially.
const ODD_NAMES: [&str; 8] = ["犬 é", "a+b=c", "100%25", "[x]{y}", "a&b;c", "~1", "quote's\"", "-.x."];

/// Checks every promise.
pub async fn check(place: &Location) {
    the_first_create_wins(place).await;
    one_of_many_creates_wins(place).await;
    a_lost_answer_is_read_back(place).await;
    another_writer_is_seen_behind_a_lost_answer(place).await;
    a_failure_without_effect_is_retried(place).await;
    a_lasting_failure_is_an_error_without_an_object(place).await;
    odd_names_are_names(place).await;
}

/// The second create of a name sees the bytes of the first and changes nothing.
pub async fn the_first_create_wins(place: &Location) {
    let name = "first.json";
    assert_eq!(create(place, name, "first").await, PutOutcome::Created);
    assert_eq!(create(place, name, "second").await, exists("first"));
    assert_eq!(read(place, name).await.as_deref(), Some("first"));
    assert_eq!(create(place, name, "first").await, PutOutcome::Created, "equal bytes have one object");
}

/// Exactly one of many creates at the same time creates the object, and all others see its bytes.
pub async fn one_of_many_creates_wins(place: &Location) {
    let name = "race/0.json";
    let racers = (0..RACERS).map(|racer| {
        let place = place.clone();
        tokio::spawn(async move { (racer, create(&place, name, &text(racer)).await) })
    });
    let ends: Vec<_> = join_all(racers).await.into_iter().map(|end| end.expect("a racer panicked")).collect();
    let winners: Vec<usize> =
        ends.iter().filter(|(_, end)| *end == PutOutcome::Created).map(|(racer, _)| *racer).collect();
    assert_eq!(winners.len(), 1, "racers {winners:?} have all created the object");
    let seen = exists(&text(winners[0]));
    assert!(
        ends.iter().all(|(racer, end)| *racer == winners[0] || *end == seen),
        "not all saw {seen:?}: {ends:?}"
    );
    assert_eq!(read(place, name).await, Some(text(winners[0])));
}

/// A create whose answer is lost has created the object, and its writer learns that.
pub async fn a_lost_answer_is_read_back(place: &Location) {
    for (at, cause) in PASSING.into_iter().enumerate() {
        let (faulty, store) = faulty(place);
        faulty.fail_next(Request::Put, 1, Fault::LosesAnswer(cause));
        let name = format!("lost/{at}.json");
        assert_eq!(create(&store, &name, "mine").await, PutOutcome::Created, "{cause:?}");
        assert_eq!(faulty.requests(Request::Put), 1, "{cause:?}: the object was not read back first");
        assert_eq!(read(place, &name).await.as_deref(), Some("mine"));
    }
}

/// A create that fails behind another writer's create sees the other writer's bytes.
pub async fn another_writer_is_seen_behind_a_lost_answer(place: &Location) {
    let name = "behind.json";
    assert_eq!(create(place, name, "theirs").await, PutOutcome::Created);
    for fault in PASSING.into_iter().flat_map(|cause| [Fault::Fails(cause), Fault::LosesAnswer(cause)]) {
        let (faulty, store) = faulty(place);
        faulty.fail_next(Request::Put, 1, fault);
        assert_eq!(create(&store, name, "mine").await, exists("theirs"), "{fault:?}");
    }
}

/// A create that failed without an effect is repeated.
pub async fn a_failure_without_effect_is_retried(place: &Location) {
    for (at, cause) in PASSING.into_iter().enumerate() {
        let (faulty, store) = faulty(place);
        faulty.fail_next(Request::Put, 1, Fault::Fails(cause));
        let name = format!("retried/{at}.json");
        assert_eq!(create(&store, &name, "mine").await, PutOutcome::Created, "{cause:?}");
        assert!(faulty.is_spent() && faulty.requests(Request::Put) == 2, "{cause:?}");
    }
}

/// A create that is refused, or fails at each attempt, is an error, and no object exists.
pub async fn a_lasting_failure_is_an_error_without_an_object(place: &Location) {
    for (name, cause, attempts) in [("refused.json", Cause::Forbidden, 1), ("down.json", Cause::Refused, 4)] {
        let (faulty, store) = faulty(place);
        faulty.fail_next(Request::Put, 10, Fault::Fails(cause));
        let error = store.create(name, Bytes::from_static(b"mine")).await.expect_err("the create must fail");
        assert!(error.to_string().contains(name), "the error names no object: {error}");
        assert_eq!(faulty.requests(Request::Put), attempts, "{cause:?}");
        assert_eq!(read(place, name).await, None, "{cause:?}");
    }
}

/// Each odd name is one object, with its own bytes.
pub async fn odd_names_are_names(place: &Location) {
    let name = |odd: &str| format!("odd/{odd}/{odd}.json");
    for odd in ODD_NAMES {
        assert_eq!(create(place, &name(odd), odd).await, PutOutcome::Created, "{odd}");
        assert_eq!(create(place, &name(odd), "another").await, exists(odd), "{odd}");
    }
    for odd in ODD_NAMES {
        assert_eq!(read(place, &name(odd)).await.as_deref(), Some(odd));
    }
}

/// Causes after which a create may or may not have taken effect.
const PASSING: [Cause; 4] = [Cause::Refused, Cause::Interrupted, Cause::Silent, Cause::Status(503)];

/// The same location over a store with faults.
fn faulty(place: &Location) -> (FaultyStore, Location) {
    let faulty = FaultyStore::over(Arc::clone(&place.store));
    let mut store = place.clone();
    store.store = Arc::new(faulty.clone());
    (faulty, store)
}

async fn create(place: &Location, name: &str, text: &str) -> PutOutcome {
    let created = place.create(name, Bytes::copy_from_slice(text.as_bytes())).await;
    created.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn read(place: &Location, name: &str) -> Option<String> {
    let found = place.read_if_there(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn exists(text: &str) -> PutOutcome {
    PutOutcome::Exists(Bytes::copy_from_slice(text.as_bytes()))
}

fn text(racer: usize) -> String {
    format!("racer {racer}")
}
