//! Thousands of hosts, and bodies that exceed the room.

use super::{
    IMAGE, MOST, fetch, link, settings,
    web::{Body, Reply, Web},
};
use crate::{Fetched, Fetcher, Room, resolver::Lookup};
use capfilt_schemas::settings::Links;
use futures::future::join_all;
use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Every name is 127.0.0.1, but some do not exist.
pub(super) fn names() -> Lookup {
    Arc::new(|name, _permit| {
        let exists = !name.starts_with("dead");
        let unknown = || io::Error::other("failed to lookup address information: Name or service not known");
        let found = if exists { Ok(vec![Ipv4Addr::LOCALHOST.into()]) } else { Err(unknown()) };
        Box::pin(std::future::ready(found))
    })
}

#[tokio::test]
async fn thousands_of_hosts_are_fetched_with_few_connections() {
    let web = Web::start(|_| Reply::ok(IMAGE));
    let settings = Links { retries: 0, concurrency: 64, ..settings() };
    let fetcher = Fetcher::with_names(&settings, Duration::from_secs(900), names()).unwrap();
    let port = web.address.port();
    let urls = (0..3000).map(|n| match n % 10 {
        0 => format!("http://dead-{n}.example:{port}/"),
        _ => format!("http://host-{n}.example:{port}/"),
    });
    let fetched = join_all(urls.map(|url| fetch(&fetcher, url))).await;
    let unreachable =
        |fetched: &&Fetched| matches!(fetched, Fetched::Unreachable(why) if why.contains("no host"));
    let bytes = |fetched: &&Fetched| matches!(fetched, Fetched::Bytes(_));
    assert_eq!(fetched.iter().filter(unreachable).count(), 300);
    assert_eq!(fetched.iter().filter(bytes).count(), 2700);
    let most = web.most_connections();
    assert!(most <= 64 + 3 * 64, "{most} connections");
}

#[tokio::test]
async fn bodies_wait_for_room_and_all_arrive_in_order() {
    const BODY: usize = 700 << 10;
    let body = [IMAGE, &[0; BODY]].concat();
    let pause = Duration::from_millis(1);
    let whole = body.clone();
    let web = Web::start(move |request| match request.path.as_str() {
        "/0" => Reply::ok(IMAGE).body(Body::Endless(vec![0xFF; 16 << 10], pause)),
        _ => Reply::ok(&whole),
    });
    let settings = Links { per_host: 16, ..settings() };
    let fetcher = Arc::new(Fetcher::new(&settings, Duration::from_secs(900)).unwrap());
    // Room for two bodies, and twenty rows, which are passed on one by one.
    let room = Room::new(2 << 20);
    let (first, watched) = watch::channel(0);
    let tasks = (0..20).map(|n| {
        let (fetcher, mut seat) = (Arc::clone(&fetcher), room.seat(n, watched.clone()));
        let link = link(web.url(&format!("/{n}")));
        tokio::spawn(async move { (fetcher.fetch(&link, MOST, &mut seat).await.unwrap(), seat) })
    });
    for (n, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        let limit = Duration::from_secs(30);
        let (fetched, seat) = tokio::time::timeout(limit, task).await.unwrap().unwrap();
        match fetched {
            Fetched::TooLarge(_) => assert_eq!(n, 0),
            Fetched::Bytes(bytes) => assert!(bytes == body, "row {n}"),
            other => panic!("{other:?}"),
        }
        drop(seat);
        first.send_modify(|first| *first += 1);
    }
}
