//! Fetches links: redirects, tries, back-off.

use crate::{
    answer::{Answer, FIRST_BYTES, Failure},
    clients::Clients,
    digest,
    exchange::{Bounds, exchange},
    hosts::Hosts,
    link::{Fetched, Link, parse},
    network::{Network, NetworkDown, Proof},
    resolver::{Lookup, NameFault, Resolver, system},
    room::Seat,
};
use capfilt_schemas::settings::Links;
use rand::RngExt as _;
use std::time::Duration;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use url::Url;

/// First wait between two tries, doubled for each further one.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Fetcher of one process: its connections, names and hosts serve all rows.
pub struct Fetcher {
    settings: Links,
    clients: Clients,
    resolver: Resolver,
    hosts: Hosts,
    network: Network,
    requests: Semaphore,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Fetcher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// End of a link's tries.
enum Tried {
    Done(Fetched),
    NoRoom(u64),
    /// The last try began at `since` and had no answer.
    Failed {
        why: String,
        since: Instant,
    },
}

impl Fetcher {
    /// A fetcher without connections. `outage`: time without a network after which fetching ends.
    ///
    /// # Errors
    /// A sentence: the HTTP client cannot be made, for example without certificates of the system.
    pub fn new(settings: &Links, outage: Duration) -> Result<Self, String> {
        Self::with_names(settings, outage, system())
    }

    /// A fetcher with another lookup of names.
    pub(crate) fn with_names(settings: &Links, outage: Duration, names: Lookup) -> Result<Self, String> {
        let patience = Duration::from_secs(settings.connect_seconds.into());
        let resolver = Resolver::new(names, settings.allow_private.clone(), patience);
        let clients = Clients::new(settings.clone(), resolver.clone());
        Ok(Self {
            settings: settings.clone(),
            clients: clients.map_err(|error| format!("links cannot be fetched: {error}"))?,
            resolver,
            hosts: Hosts::new(settings.per_host as usize),
            network: Network::new(outage),
            requests: Semaphore::new(settings.concurrency as usize),
        })
    }

    /// Fetches one link, up to `most` bytes.
    ///
    /// Waits for the turn of its host and for room are not bounded by a time; the time from the first request
    /// on is `links.total_seconds`.
    ///
    /// # Errors
    /// No host answers for a long time. An error of the link is part of the result.
    pub async fn fetch(&self, link: &Link, most: u64, seat: &mut Seat) -> Result<Fetched, NetworkDown> {
        let url = match parse(&link.url) {
            Ok(url) => url,
            Err(why) => return Ok(Fetched::Refused(why)),
        };
        let mut needed = FIRST_BYTES.min(most);
        loop {
            seat.hold(needed).await;
            match self.tries(&url, most, seat).await {
                Tried::Done(fetched) => return Ok(checked(fetched, link)),
                Tried::NoRoom(bytes) => {
                    seat.keep(0);
                    needed = bytes;
                }
                Tried::Failed { why, since } => {
                    let ask = |witness: Url| self.answers(witness);
                    match self.network.prove(since, &why, ask).await? {
                        Proof::Works => return Ok(Fetched::Unreachable(why)),
                        Proof::DidNotWork => self.hosts.forgive(),
                    }
                }
            }
        }
    }

    async fn tries(&self, url: &Url, most: u64, seat: &mut Seat) -> Tried {
        let mut tries = Tries::new(&self.settings);
        loop {
            let mut since = Instant::now();
            let failure = match self.follow(url, most, seat, &mut tries, &mut since).await {
                Answer::Done(fetched) => return Tried::Done(fetched),
                Answer::NoRoom(bytes) => return Tried::NoRoom(bytes),
                Answer::Redirect(_) => unreachable!("redirects are followed"),
                Answer::Failed(failure) => failure,
            };
            match tries.wait(&failure) {
                Some(wait) => sleep(wait).await,
                None => return Tried::Failed { why: failure.why, since },
            }
        }
    }

    /// One try: the request, and those that its redirects lead to. `since` is set to the begin of the last.
    async fn follow(
        &self,
        url: &Url,
        most: u64,
        seat: &mut Seat,
        tries: &mut Tries,
        since: &mut Instant,
    ) -> Answer {
        let mut url = url.clone();
        for _ in 0..=self.settings.redirects {
            match self.request(&url, most, seat, tries, since).await {
                Answer::Redirect(target) => url = target,
                answer => return at_host(&url, answer),
            }
        }
        at_host(&url, Answer::unreachable(format!("more than {} redirects", self.settings.redirects)))
    }

    async fn request(
        &self,
        url: &Url,
        most: u64,
        seat: &mut Seat,
        tries: &mut Tries,
        since: &mut Instant,
    ) -> Answer {
        let host = self.hosts.get(url.authority());
        // The host's turn comes first: rows that wait for a slow host take no request from other hosts.
        let _turn = match host.turn().await {
            Ok(turn) => turn,
            Err(left_alone) => {
                *since = left_alone.failing_since;
                tries.left = 0;
                return Answer::failed(left_alone);
            }
        };
        *since = Instant::now();
        match self.resolver.check(url).await {
            Ok(()) => {}
            Err(refused @ NameFault::Refused(_)) => return Answer::refused(refused),
            Err(fault) => {
                host.fail(None);
                return Answer::failed(fault);
            }
        }
        let _request = self.requests.acquire().await.expect("it is never closed");
        *since = Instant::now();
        let client = self.clients.of(url.authority());
        let bounds = Bounds { time: tries.time_left(), bytes: most };
        let answered = || self.network.answered(url);
        let answer = exchange(&client, url, &self.settings, bounds, seat, answered).await;
        tries.spent += since.elapsed();
        match &answer {
            Answer::Failed(failure) => host.fail(failure.retry_after),
            _ => host.succeed(),
        }
        answer
    }

    /// Whether a host answers now.
    async fn answers(&self, witness: Url) -> bool {
        if self.resolver.check(&witness).await.is_err() {
            return false;
        }
        let time = Duration::from_secs((self.settings.connect_seconds + self.settings.idle_seconds).into());
        let request = self.clients.of(witness.authority()).head(witness).send();
        matches!(timeout(time, request).await, Ok(Ok(_)))
    }
}

/// Names the host in a reason: after a redirect it differs from the link's.
fn at_host(url: &Url, answer: Answer) -> Answer {
    let host = url.host_str().unwrap_or_default();
    let named = |why: String| format!("{host}: {why}");
    match answer {
        Answer::Done(Fetched::Unreachable(why)) => Answer::unreachable(named(why)),
        Answer::Done(Fetched::Refused(why)) => Answer::refused(named(why)),
        Answer::Done(Fetched::TooLarge(why)) => Answer::Done(Fetched::TooLarge(named(why))),
        Answer::Failed(Failure { why, retry_after }) => {
            Answer::Failed(Failure { why: named(why), retry_after })
        }
        answer => answer,
    }
}

fn checked(fetched: Fetched, link: &Link) -> Fetched {
    match (fetched, &link.digest) {
        (Fetched::Bytes(bytes), Some(digest)) => match digest::fault(&bytes, digest) {
            Some(why) => Fetched::Changed(why),
            None => Fetched::Bytes(bytes),
        },
        (fetched, _) => fetched,
    }
}

/// Tries of one link, and the time that they took.
struct Tries {
    left: u32,
    spent: Duration,
    total: Duration,
    back_off: Duration,
}

impl Tries {
    fn new(settings: &Links) -> Self {
        let total = Duration::from_secs(settings.total_seconds.into());
        Self { left: settings.retries, spent: Duration::ZERO, total, back_off: BACK_OFF }
    }

    fn time_left(&self) -> Duration {
        self.total.saturating_sub(self.spent)
    }

    /// Wait before the next try; `None` if it was the last.
    fn wait(&mut self, failure: &Failure) -> Option<Duration> {
        // Rows that failed together do not come back together.
        let back_off = self.back_off.mul_f64(rand::rng().random_range(0.5..1.0));
        let wait = back_off.max(failure.retry_after.unwrap_or_default());
        if self.left == 0 || wait >= self.time_left() {
            return None;
        }
        self.left -= 1;
        self.spent += wait;
        self.back_off *= 2;
        Some(wait)
    }
}
