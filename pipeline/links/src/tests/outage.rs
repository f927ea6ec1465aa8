//! A machine without a network does not make its links unreachable.

use super::{
    IMAGE, fetch, link, many, settings, try_fetch,
    web::{Reply, Web},
};
use crate::{Fetched, Fetcher, resolver::Lookup};
use capfilt_schemas::settings::Links;
use futures::future::join_all;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

fn quick() -> Links {
    Links { retries: 0, ..settings() }
}

#[tokio::test]
async fn without_name_servers_fetching_ends_instead_of_failing_every_row() {
    let silent: Lookup = Arc::new(|_, _permit| {
        let why = "failed to lookup address information: Temporary failure in name resolution";
        Box::pin(std::future::ready(Err(io::Error::other(why))))
    });
    let fetcher = Fetcher::with_names(&quick(), Duration::from_secs(2), silent).unwrap();
    let links: Vec<_> = (0..40).map(|n| link(format!("http://host-{n}.example/"))).collect();
    let fetched = join_all(links.iter().map(|link| try_fetch(&fetcher, link)));
    let fetched = tokio::time::timeout(Duration::from_secs(120), fetched).await.unwrap();
    let ended: Vec<_> = fetched.iter().filter_map(|fetched| fetched.as_ref().err()).collect();
    assert!(ended.len() >= 40 - 16, "{fetched:?}");
    let message = ended[0].to_string();
    assert!(message.contains("check network and name servers"), "{message}");
    assert!(message.contains("Temporary failure in name resolution"), "{message}");
}

#[tokio::test]
async fn links_are_tried_again_when_their_only_host_is_back() {
    let web = Web::start(|_| Reply::ok(IMAGE));
    let port = web.address.port();
    let fetcher = Fetcher::with_names(&quick(), Duration::from_secs(60), many::names()).unwrap();
    let url = |n: u32| format!("http://host.example:{port}/{n}");
    assert!(matches!(fetch(&fetcher, url(0)).await, Fetched::Bytes(_)));
    drop(web);
    // Older answers do not count.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let is_back = AtomicBool::new(false);
    let rows = join_all((1..30).map(|n| fetch(&fetcher, url(n))));
    let restart = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        is_back.store(true, Ordering::SeqCst);
        Web::on(port, |_| Reply::ok(IMAGE))
    };
    let both = futures::future::join(rows, restart);
    let (fetched, _web) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    assert!(is_back.load(Ordering::SeqCst));
    assert!(fetched.iter().all(|fetched| matches!(fetched, Fetched::Bytes(_))), "{fetched:?}");
}
