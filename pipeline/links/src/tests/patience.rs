//! Hosts that are slow, busy, or ask for rest.

use super::{
    IMAGE, fetch, fetcher, settings,
    web::{Body, Reply, Web},
};
use crate::Fetched;
use capfilt_schemas::settings::Links;
use futures::future::join_all;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

#[tokio::test]
async fn a_slow_host_holds_up_only_its_own_links() {
    let slow = Web::start(|_| Reply::ok(IMAGE).body(Body::Silence));
    let quick = Web::start(|_| Reply::ok(IMAGE));
    // Two hosts: they differ in the port.
    let fetcher = fetcher(&Links { concurrency: 16, per_host: 4, ..settings() });
    let begun = Instant::now();
    let slow_links = join_all((0..200).map(|n| fetch(&fetcher, slow.url(&format!("/{n}")))));
    let quick_links = async {
        let fetched = join_all((0..500).map(|n| fetch(&fetcher, quick.url(&format!("/{n}"))))).await;
        (fetched, begun.elapsed())
    };
    let (slow_links, (quick_links, quick_took)) = futures::join!(slow_links, quick_links);
    assert!(quick_links.iter().all(|fetched| matches!(fetched, Fetched::Bytes(_))));
    assert!(quick_took < Duration::from_secs(2), "{quick_took:?}");
    // 200 links of 4 s, four at a time, would take 200 s; after ten failures the host is left alone.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let is_left_alone =
        |fetched: &&Fetched| matches!(fetched, Fetched::Unreachable(why) if why.contains("left alone"));
    assert!(slow_links.iter().filter(is_left_alone).count() > 150);
    assert!(slow.seen().len() <= 10 + 2 * 4, "{} requests", slow.seen().len());
}

#[tokio::test]
async fn a_host_rests_when_it_asks_for_it_and_is_then_asked_again() {
    let times = Mutex::new(Vec::new());
    let count = AtomicU32::new(0);
    let web = Web::start(move |_| {
        times.lock().unwrap().push(Instant::now());
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status("429 Too Many Requests").with("Retry-After", "2"),
            n => Reply::ok(IMAGE).with("X-Since", since(&times.lock().unwrap(), n as usize)),
        }
    });
    let fetcher = fetcher(&Links { per_host: 1, total_seconds: 10, ..settings() });
    let begun = Instant::now();
    let both = join_all([web.url("/1"), web.url("/2")].map(|url| fetch(&fetcher, url))).await;
    assert!(both.iter().all(|fetched| matches!(fetched, Fetched::Bytes(_))), "{both:?}");
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(web.seen().len(), 3, "no request while the host rests");
}

fn since(times: &[Instant], n: usize) -> String {
    let rest = times[n] - times[0];
    assert!(rest >= Duration::from_millis(1900), "{rest:?}");
    rest.as_millis().to_string()
}

#[tokio::test]
async fn a_long_rest_is_not_waited_for() {
    let web = Web::start(|_| Reply::status("503 Service Unavailable").with("Retry-After", "86400"));
    let begun = Instant::now();
    let fetched = fetch(&fetcher(&settings()), web.url("/")).await;
    let is_reported = matches!(&fetched, Fetched::Unreachable(why) if why.contains("Retry-After 86400 s"));
    assert!(is_reported, "{fetched:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_again() {
    let count = AtomicU32::new(0);
    let web = Web::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::ok(IMAGE).with("Content-Length", "1000").body(Body::Torn(IMAGE.to_vec())),
        1 => Reply::status("502 Bad Gateway"),
        _ => Reply::ok(IMAGE),
    });
    let patient = Links { retries: 2, total_seconds: 10, ..settings() };
    assert!(matches!(fetch(&fetcher(&patient), web.url("/")).await, Fetched::Bytes(_)));
    assert_eq!(web.seen().len(), 3);
}
