//! Names of hosts: looked up once, remembered, and reduced to the addresses that may be connected to.
//!
//! The HTTP client asks this resolver when it opens a connection, so the checked addresses are those that are
//! connected to: a name that has another address at the next lookup (DNS rebinding) changes nothing.

use crate::address::is_public;
use capfilt_schemas::settings::Private;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use url::{Host, Url};

/// Names that are remembered. Memory: about 300 bytes each.
const MOST_NAMES: usize = 16_384;

/// Time for which an answer counts. The system's resolver does not report how long a name is valid.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Time for which the absence of an answer counts.
const SILENCE_REMEMBERED: Duration = Duration::from_secs(5);

/// Lookups at once; each has a thread of tokio's 512 until the system's resolver returns.
const LOOKUPS: usize = 256;

/// Lookup of a name. The permit is held until the lookup has ended.
pub(crate) type Lookup =
    Arc<dyn Fn(String, OwnedSemaphorePermit) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Reason why a host has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    #[error("no host has this name")]
    Unknown,
    #[error("the name cannot be looked up: {0}")]
    NoAnswer(String),
    #[error("{0} is not an address of the public internet; links.allow_private allows it")]
    Refused(IpAddr),
}

type Answer = Arc<OnceCell<Result<Vec<IpAddr>, NameFault>>>;

struct Remembered {
    since: Instant,
    answer: Answer,
}

/// Resolver of one process; clones share the names.
#[derive(Clone)]
pub(crate) struct Resolver {
    lookup: Lookup,
    private: Private,
    patience: Duration,
    lookups: Arc<Semaphore>,
    names: Arc<Mutex<HashMap<String, Remembered>>>,
}

impl Resolver {
    pub(crate) fn new(lookup: Lookup, private: Private, patience: Duration) -> Self {
        let (lookups, names) = (Arc::new(Semaphore::new(LOOKUPS)), Arc::default());
        Self { lookup, private, patience, lookups, names }
    }

    /// Checks the host of a URL before a connection. A host that is written as an address is never looked up.
    pub(crate) async fn check(&self, url: &Url) -> Result<(), NameFault> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.allowed(vec![address.into()]).map(drop),
            Some(Host::Ipv6(address)) => self.allowed(vec![address.into()]).map(drop),
            Some(Host::Domain(name)) => self.addresses(name).await.map(drop),
            None => Err(NameFault::Unknown),
        }
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NameFault> {
        let answer = self.remembered(name);
        answer.get_or_init(|| self.look_up(name)).await.clone()
    }

    /// The place of a name's answer, which all who ask for the name share.
    fn remembered(&self, name: &str) -> Answer {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MOST_NAMES {
            names.retain(|_, name| name.counts(now));
            if names.len() >= MOST_NAMES {
                names.clear();
            }
        }
        let fresh = || Remembered { since: now, answer: Answer::default() };
        let name = names.entry(name.to_owned()).or_insert_with(fresh);
        if !name.counts(now) {
            *name = fresh();
        }
        Arc::clone(&name.answer)
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, NameFault> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.expect("it is never closed");
        match timeout(self.patience, (self.lookup)(name.to_owned(), permit)).await {
            Ok(Ok(addresses)) => self.allowed(addresses),
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(NameFault::NoAnswer(format!("no answer within {} s", self.patience.as_secs()))),
        }
    }

    /// The addresses that may be connected to; at least one.
    fn allowed(&self, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, NameFault> {
        let first = addresses.first().copied().ok_or(NameFault::Unknown)?;
        let may = |address: &IpAddr| is_public(*address) || self.private.allows(address.to_canonical());
        let allowed: Vec<IpAddr> = addresses.into_iter().filter(may).collect();
        if allowed.is_empty() { Err(NameFault::Refused(first)) } else { Ok(allowed) }
    }
}

impl Remembered {
    fn counts(&self, now: Instant) -> bool {
        let time = match self.answer.get() {
            Some(Err(NameFault::NoAnswer(_))) => SILENCE_REMEMBERED,
            _ => REMEMBERED,
        };
        now.duration_since(self.since) < time
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// The system's resolver, which reads `/etc/hosts` and asks the name servers of `/etc/resolv.conf`.
pub(crate) fn system() -> Lookup {
    Arc::new(|name, permit| {
        Box::pin(async move {
            let looked_up = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            });
            looked_up.await.map_err(io::Error::other)?
        })
    })
}

/// Messages of glibc's `getaddrinfo` for a name without an address, a case for which `std::io::Error` has no
/// kind.
const UNKNOWN: [&str; 2] = ["Name or service not known", "No address associated with hostname"];

fn fault(error: &io::Error) -> NameFault {
    let message = error.to_string();
    if UNKNOWN.iter().any(|unknown| message.contains(unknown)) {
        return NameFault::Unknown;
    }
    let reason = message.rsplit(": ").next().unwrap_or_default();
    NameFault::NoAnswer(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A resolver whose answers are a function of the name and of the number of the lookup.
    fn resolver(answer: fn(&str, u32) -> io::Result<Vec<&'static str>>) -> (Resolver, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let lookup: Lookup = Arc::new(move |name, _permit| {
            let answer = answer(&name, counted.fetch_add(1, Ordering::Relaxed));
            let parse = |all: Vec<&str>| all.into_iter().map(|one| one.parse().unwrap()).collect();
            Box::pin(std::future::ready(answer.map(parse)))
        });
        (Resolver::new(lookup, Private::default(), PATIENCE), count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_changes_to_a_private_address_is_refused_at_each_lookup() {
        let (resolver, lookups) = resolver(|_, n| Ok(vec![if n == 0 { "1.1.1.1" } else { "127.0.0.1" }]));
        let name = || "rebinds.example".parse::<Name>().unwrap();
        let connect = async || resolver.resolve(name()).await.map(Iterator::collect::<Vec<_>>);
        for _ in 0..3 {
            assert_eq!(connect().await.unwrap(), ["1.1.1.1:0".parse().unwrap()]);
        }
        assert_eq!(lookups.load(Ordering::Relaxed), 1, "the name is remembered");
        tokio::time::advance(REMEMBERED).await;
        let refused = connect().await.unwrap_err().to_string();
        assert!(refused.contains("127.0.0.1 is not an address of the public internet"), "{refused}");
        let url = Url::parse("http://rebinds.example/").unwrap();
        assert_eq!(resolver.check(&url).await, Err(NameFault::Refused("127.0.0.1".parse().unwrap())));
    }

    #[tokio::test]
    async fn only_the_public_addresses_of_a_name_are_connected_to() {
        let (resolver, _) = resolver(|_, _| Ok(vec!["10.0.0.1", "::1", "2606:4700::1111", "1.1.1.1"]));
        let found = resolver.addresses("mixed.example").await.unwrap();
        assert_eq!(found, ["2606:4700::1111", "1.1.1.1"].map(|one| one.parse::<IpAddr>().unwrap()));
    }

    #[tokio::test]
    async fn an_address_in_any_notation_is_checked_without_a_lookup() {
        let (resolver, lookups) = resolver(|_, _| Ok(vec!["1.1.1.1"]));
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fe80::1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://①②⑦.0.0.1/",
        ] {
            let checked = resolver.check(&Url::parse(url).unwrap()).await;
            assert!(matches!(checked, Err(NameFault::Refused(_))), "{url}: {checked:?}");
        }
        assert_eq!(resolver.check(&Url::parse("http://1.1.1.1/").unwrap()).await, Ok(()));
        assert_eq!(lookups.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_name_and_a_silent_name_server_differ() {
        let (resolver, lookups) = resolver(|name, _| {
            let gai = "failed to lookup address information: ";
            let why = if name == "unknown" { UNKNOWN[0] } else { "Temporary failure in name resolution" };
            Err(io::Error::other(format!("{gai}{why}")))
        });
        assert_eq!(resolver.addresses("unknown").await, Err(NameFault::Unknown));
        let silent = NameFault::NoAnswer("Temporary failure in name resolution".to_owned());
        assert_eq!(resolver.addresses("silent").await, Err(silent));
        tokio::time::advance(SILENCE_REMEMBERED).await;
        let _ = (resolver.addresses("unknown").await, resolver.addresses("silent").await);
        assert_eq!(lookups.load(Ordering::Relaxed), 3, "only the absence of an answer is asked for again");
    }

    #[tokio::test]
    async fn remembered_names_are_bounded() {
        let (resolver, _) = resolver(|_, _| Ok(vec!["1.1.1.1"]));
        for n in 0..MOST_NAMES + 10 {
            resolver.addresses(&format!("host-{n}.example")).await.unwrap();
        }
        assert!(resolver.names.lock().unwrap().len() <= MOST_NAMES);
    }
}
