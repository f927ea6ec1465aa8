//! The fetcher against a hostile web on loopback.

mod hostile;
mod many;
mod outage;
mod patience;
#[path = "../../tests/support/web.rs"]
mod web;

use crate::{Fetched, Fetcher, Link, NetworkDown, Room};
use capfilt_schemas::settings::{Links, Private};
use std::time::Duration;
use tokio::sync::watch;

/// A PNG's first bytes.
const IMAGE: &[u8] = b"\x89PNG\r\n\x1a\n and more";

/// Limit of an image's bytes.
const MOST: u64 = 1 << 20;

/// Settings with short times, for servers on 127.0.0.1 and nowhere else.
fn settings() -> Links {
    Links {
        fetch: true,
        connect_seconds: 1,
        idle_seconds: 1,
        total_seconds: 3,
        retries: 1,
        allow_private: Private::Networks(vec!["127.0.0.1".parse().unwrap()]),
        ..Links::default()
    }
}

fn fetcher(settings: &Links) -> Fetcher {
    Fetcher::new(settings, Duration::from_secs(900)).unwrap()
}

fn link(url: impl Into<String>) -> Link {
    Link { url: url.into(), digest: None }
}

async fn try_fetch(fetcher: &Fetcher, link: &Link) -> Result<Fetched, NetworkDown> {
    let (_first, watched) = watch::channel(0);
    let mut seat = Room::new(1 << 30).seat(0, watched);
    fetcher.fetch(link, MOST, &mut seat).await
}

async fn fetch(fetcher: &Fetcher, url: impl Into<String>) -> Fetched {
    try_fetch(fetcher, &link(url)).await.unwrap()
}
