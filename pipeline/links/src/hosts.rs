//! Requests per host: their number at once, the rest that a host asks for, and hosts that only fail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

/// Hosts that are remembered. Memory: about 300 bytes each. Hosts with a request are kept in addition; their
/// number is bounded by the rows that are fetched.
const MOST_HOSTS: usize = 16_384;

/// Failures in a row after which a host is left alone, so that the rows of a dead host do not take hours.
const FAILURES: u32 = 10;

/// Time for which such a host is left alone. The first failure after it begins the next such time.
const LEFT_ALONE: Duration = Duration::from_secs(300);

/// Longest rest that a host gets when it asks for one.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(60);

/// The hosts of one process.
pub(crate) struct Hosts {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    at_once: usize,
}

/// One host and port.
pub(crate) struct Host {
    slots: Arc<Semaphore>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    failures: u32,
    failing_since: Option<Instant>,
    left_alone_until: Option<Instant>,
    rests_until: Option<Instant>,
}

/// The host is left alone since its failures began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftAlone {
    pub failing_since: Instant,
}

impl Hosts {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { hosts: Mutex::default(), at_once }
    }

    /// The host with a name and a port.
    pub(crate) fn get(&self, authority: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MOST_HOSTS {
            let now = Instant::now();
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.record().matters(now));
            if hosts.len() >= MOST_HOSTS {
                hosts.retain(|_, host| Arc::strong_count(host) > 1);
            }
        }
        let new =
            || Arc::new(Host { slots: Arc::new(Semaphore::new(self.at_once)), record: Mutex::default() });
        Arc::clone(hosts.entry(authority.to_owned()).or_insert_with(new))
    }

    /// Forgets all failures: the network caused them.
    pub(crate) fn forgive(&self) {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.values().for_each(|host| host.record().succeed());
    }
}

impl Host {
    /// Waits for the turn of a request, and for the end of the host's rest.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, LeftAlone> {
        self.record().check()?;
        let permit = Arc::clone(&self.slots).acquire_owned().await.expect("it is never closed");
        loop {
            // Meanwhile, other requests may have failed.
            self.record().check()?;
            let rests_until = self.record().rests_until.filter(|until| *until > Instant::now());
            match rests_until {
                Some(until) => sleep_until(until).await,
                None => return Ok(permit),
            }
        }
    }

    /// Counts a complete answer.
    pub(crate) fn succeed(&self) {
        self.record().succeed();
    }

    /// Counts a request without a complete answer, and begins the rest that the host asked for.
    pub(crate) fn fail(&self, rest: Option<Duration>) {
        let now = Instant::now();
        let mut record = self.record();
        record.failures += 1;
        record.failing_since.get_or_insert(now);
        if record.failures >= FAILURES {
            record.left_alone_until = Some(now + LEFT_ALONE);
        }
        if let Some(rest) = rest {
            let until = now + rest.min(LONGEST_REST);
            record.rests_until = record.rests_until.max(Some(until));
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn succeed(&mut self) {
        (self.failures, self.failing_since, self.left_alone_until) = (0, None, None);
    }

    fn check(&self) -> Result<(), LeftAlone> {
        let now = Instant::now();
        match (self.left_alone_until, self.failing_since) {
            (Some(until), Some(failing_since)) if until > now => Err(LeftAlone { failing_since }),
            _ => Ok(()),
        }
    }

    fn matters(&self, now: Instant) -> bool {
        [self.left_alone_until, self.rests_until].into_iter().flatten().any(|until| until > now)
    }
}

/// Text for people.
impl std::fmt::Display for LeftAlone {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{FAILURES} requests in a row failed on this host, which is left alone for {} s",
            LEFT_ALONE.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_that_only_fails_is_left_alone_and_later_tried_again() {
        let hosts = Hosts::new(2);
        let host = hosts.get("a");
        for _ in 0..FAILURES {
            drop(host.turn().await.unwrap());
            host.fail(None);
        }
        assert!(host.turn().await.is_err());
        assert!(hosts.get("b").turn().await.is_ok(), "another host");
        tokio::time::advance(LEFT_ALONE).await;
        drop(host.turn().await.unwrap());
        host.fail(None);
        assert!(host.turn().await.is_err(), "one more failure is enough");
        hosts.forgive();
        assert!(host.turn().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_has_a_few_requests_at_once_and_rests_when_it_asks_for_it() {
        let host = Hosts::new(2).get("a");
        let held = (host.turn().await.unwrap(), host.turn().await.unwrap());
        assert!(tokio::time::timeout(Duration::from_secs(9), host.turn()).await.is_err());
        drop(held);
        let asked = Instant::now();
        host.fail(Some(Duration::from_secs(30)));
        drop(host.turn().await.unwrap());
        assert_eq!(asked.elapsed().as_secs(), 30);
        host.fail(Some(Duration::from_secs(86_400)));
        drop(host.turn().await.unwrap());
        assert_eq!(asked.elapsed().as_secs(), 30 + LONGEST_REST.as_secs());
    }

    #[tokio::test]
    async fn remembered_hosts_are_bounded_and_those_in_use_are_kept() {
        let hosts = Hosts::new(1);
        let used = hosts.get("used");
        (0..2 * MOST_HOSTS).for_each(|n| drop(hosts.get(&n.to_string())));
        assert!(hosts.hosts.lock().unwrap().len() <= MOST_HOSTS);
        assert!(Arc::ptr_eq(&used, &hosts.get("used")));
    }
}
