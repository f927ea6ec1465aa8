//! Promises of the store with scripted faults.

#![allow(clippy::unwrap_used)]

use capfilt_store_testing::{Cause, Fault, FaultyStore, Request};
use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _, memory::InMemory, path::Path};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

fn store() -> FaultyStore {
    FaultyStore::over(Arc::new(InMemory::new()))
}

#[tokio::test]
async fn the_third_put_fails_without_effect_and_a_lost_answer_has_taken_effect() {
    let store = store();
    store.fail_after(Request::Put, 2, Fault::Fails(Cause::Status(503)));
    store.fail_after(Request::Put, 0, Fault::LosesAnswer(Cause::Interrupted));
    let mut ends = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ends.push(store.put(&Path::from(name), "x".into()).await.is_ok());
    }
    assert_eq!(ends, [true, true, false, false, true]);
    assert!(store.is_spent() && store.requests(Request::Put) == 5);
    let names: Vec<String> =
        store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    assert_eq!(names, ["a", "b", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_takes_its_time_and_a_store_that_is_down_answers_nothing() {
    let store = store();
    let since = Instant::now();
    store.fail_next(Request::List, 1, Fault::Delays(Duration::from_secs(30)));
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
    assert_eq!(since.elapsed().as_secs(), 30);
    store.go_down();
    assert!(store.put(&Path::from("a"), "x".into()).await.is_err());
    assert!(store.list(None).try_collect::<Vec<_>>().await.is_err());
    store.come_up();
    assert!(store.put(&Path::from("a"), "x".into()).await.is_ok());
    assert!(store.delete(&Path::from("a")).await.is_ok());
}

#[tokio::test]
async fn a_listing_breaks_off_after_the_given_number_of_objects() {
    let store = store();
    for name in ["a", "b", "c"] {
        store.put(&Path::from(name), "x".into()).await.unwrap();
    }
    store.fail_next(Request::List, 1, Fault::BreaksOffAfter(2));
    let mut listed = store.list(None);
    for name in ["a", "b"] {
        assert_eq!(listed.try_next().await.unwrap().unwrap().location.as_ref(), name);
    }
    assert!(listed.try_next().await.is_err());
    let offset = Path::from("b");
    let after = |store: &FaultyStore| store.list_with_offset(None, &offset).try_collect::<Vec<_>>();
    assert_eq!(after(&store).await.unwrap().len(), 1);
    store.ignore_offsets();
    assert_eq!(after(&store).await.unwrap().len(), 3);
}
