use super::*;
use crate::outage::{TRIES, broke_off};
use capfilt_schemas::settings::OUTAGE_SECONDS;
use capfilt_store_testing::{Cause, Fault, FaultyStore, Request};
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use std::{
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tracing_subscriber::fmt::MakeWriter;

/// A store with these objects under scripted faults, and the product's retries over it.
async fn faulty(names: &[&str]) -> (FaultyStore, RetryingStore) {
    let store = InMemory::new();
    for name in names {
        store.put(&Path::from(*name), PutPayload::from_static(b"x")).await.unwrap();
    }
    static STORES: AtomicU32 = AtomicU32::new(0);
    let url = format!("faulty://{}", STORES.fetch_add(1, Ordering::SeqCst));
    let faulty = FaultyStore::over(Arc::new(store));
    let retrying = RetryingStore::new(Arc::new(faulty.clone()), Arc::new(InMemory::new()), &url);
    (faulty, retrying)
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_breaks_off_continues_and_returns_every_object_once() {
    let names = ["a", "b", "c", "d", "e"];
    for ignores_offsets in [false, true] {
        let (faulty, store) = faulty(&names).await;
        faulty.fail_next(Request::List, 1, Fault::BreaksOffAfter(2));
        if ignores_offsets {
            faulty.ignore_offsets();
        }
        let listed: Vec<String> =
            store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
        assert_eq!(listed, names, "ignores offsets: {ignores_offsets}");
    }
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_an_object_that_is_not_there_needs_none() {
    let (store, a) = (faulty(&["a"]).await, Path::from("a"));
    store.0.fail_next(Request::Get, TRIES as usize - 1, Fault::Fails(Cause::Interrupted));
    assert!(store.1.get(&a).await.is_ok());
    let store = faulty(&["a"]).await;
    store.0.fail_next(Request::Get, TRIES as usize, Fault::Fails(Cause::Interrupted));
    assert!(broke_off(&store.1.get(&a).await.unwrap_err()));
    let missing = store.1.get(&Path::from("b")).await.unwrap_err();
    assert!(matches!(missing, object_store::Error::NotFound { .. }), "{missing}");
    assert_eq!(store.0.requests(Request::Get), TRIES as usize + 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes_is_waited_out_and_reported_every_five_seconds() {
    const OUTAGE: Duration = Duration::from_secs(600);
    let (faulty, store) = faulty(&["a"]).await;
    let a = Path::from("a");
    store.head(&a).await.unwrap();
    let (lines, since) = (Lines::default(), Instant::now());
    let logged = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let _logged = tracing::subscriber::set_default(logged);
    faulty.go_down();
    let requests = futures::future::join_all((0..8).map(|_| store.get(&a)));
    let (answers, ()) = tokio::join!(requests, async {
        sleep(OUTAGE).await;
        faulty.come_up();
    });
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let waited = since.elapsed();
    assert!(waited >= OUTAGE && waited < OUTAGE + Duration::from_secs(6), "{waited:?}");
    // The requests wait at most five seconds between two attempts, and a report is due after five seconds.
    let reported = lines.seconds();
    assert!(reported[0] <= 6 && reported[reported.len() - 1] >= 590, "{reported:?}");
    let intervals: Vec<u64> = reported.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(intervals.iter().all(|interval| (5..=10).contains(interval)), "{reported:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_limit_ends_with_its_cause() {
    let (faulty, store) = faulty(&["a"]).await;
    let a = Path::from("a");
    store.head(&a).await.unwrap();
    faulty.go_down();
    let since = Instant::now();
    let error = store.get(&a).await.unwrap_err();
    assert_eq!(FaultKind::of(&error), FaultKind::ConnectionRefused, "{error}");
    let waited = since.elapsed().as_secs();
    assert!((OUTAGE_SECONDS..OUTAGE_SECONDS + 6).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_never_answered_is_not_waited_for() {
    let (faulty, store) = faulty(&["a"]).await;
    faulty.go_down();
    let since = Instant::now();
    store.get(&Path::from("a")).await.unwrap_err();
    assert_eq!((since.elapsed(), faulty.requests(Request::Get)), (Duration::ZERO, 1));
}

/// Log lines of one test.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Seconds of unavailability in each log line of an outage.
    fn seconds(&self) -> Vec<u64> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(" is unavailable for "));
        let seconds = lines.map(|(_, rest)| rest.split_once(" s (").unwrap().0.parse().unwrap());
        seconds.collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
