//! Whether the network works. A host without an answer is normal on the web and costs its rows; a machine
//! without a network must not write a ledger full of unreachable images.
//!
//! A link fails without an answer only if the network is known to work: another host has answered since the
//! link's last try began, or a host that has answered before answers now. Else its row waits.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use url::Url;

/// Hosts that have answered and are asked again in doubt.
const WITNESSES: usize = 8;

/// An answer so long before a try also counts: a refused connection takes a millisecond only.
const SHORTLY_BEFORE: Duration = Duration::from_secs(2);

/// Links that may fail before any host has answered.
const UNPROVEN: u32 = 16;

/// Longest wait between two questions whether the network works.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// No host has answered for a long time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no link could be fetched for {seconds} s, and no host answers that has answered before (the last \
     reason: {last}); check network and name servers of this machine"
)]
pub struct NetworkDown {
    /// Seconds without an answer.
    pub seconds: u64,
    /// Reason of the last failure.
    pub last: String,
}

/// State of the network as a row must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The network works, so the link is at fault.
    Works,
    /// The network did not work; the link is tried again.
    DidNotWork,
}

pub(crate) struct Network {
    record: Mutex<Record>,
    /// One row asks the witnesses at a time; the rows behind it profit from the answer.
    turn: Semaphore,
    patience: Duration,
}

#[derive(Default)]
struct Record {
    answered: Option<Instant>,
    witnesses: VecDeque<Url>,
    unproven: u32,
    down_since: Option<Instant>,
    /// End of the last time without a network.
    up_since: Option<Instant>,
}

impl Network {
    /// `patience`: time without a network after which the work ends.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { record: Mutex::default(), turn: Semaphore::new(1), patience }
    }

    /// A host has answered, with any status.
    pub(crate) fn answered(&self, url: &Url) {
        let now = Instant::now();
        let mut record = self.record();
        record.answered = Some(now);
        if record.down_since.take().is_some() {
            record.up_since = Some(now);
        }
        if record.witnesses.iter().any(|known| known.authority() == url.authority()) {
            return;
        }
        if record.witnesses.len() == WITNESSES {
            record.witnesses.pop_front();
        }
        let mut origin = url.clone();
        origin.set_path("/");
        origin.set_query(None);
        record.witnesses.push_back(origin);
    }

    /// Finds out whether the network works, for a link whose last try began at `since` and had no answer;
    /// waits while it does not. `ask` returns whether a host answers.
    ///
    /// # Errors
    /// The network does not work for too long.
    pub(crate) async fn prove<Asked: Future<Output = bool>>(
        &self,
        since: Instant,
        why: &str,
        ask: impl Fn(Url) -> Asked,
    ) -> Result<Proof, NetworkDown> {
        let mut wait = Duration::from_secs(1);
        loop {
            if let Some(proof) = self.record().proof(since) {
                return Ok(proof);
            }
            let _turn = self.turn.acquire().await.expect("it is never closed");
            if let Some(proof) = self.record().proof(since) {
                return Ok(proof);
            }
            let Some(witnesses) = self.record().doubt() else { return Ok(Proof::Works) };
            if self.ask_all(&witnesses, &ask).await {
                continue;
            }
            self.check_patience(why)?;
            sleep(wait).await;
            wait = (2 * wait).min(LONGEST_WAIT);
            if witnesses.is_empty() {
                // Only the links themselves can show whether the network works.
                return Ok(Proof::DidNotWork);
            }
        }
    }

    async fn ask_all<Asked: Future<Output = bool>>(
        &self,
        witnesses: &[Url],
        ask: &impl Fn(Url) -> Asked,
    ) -> bool {
        for witness in witnesses {
            if ask(witness.clone()).await {
                self.answered(witness);
                return true;
            }
        }
        false
    }

    fn check_patience(&self, why: &str) -> Result<(), NetworkDown> {
        let now = Instant::now();
        let mut record = self.record();
        if record.down_since.is_none() {
            tracing::warn!(why, "no link can be fetched, and no host answers; waiting for the network");
        }
        let quiet = now - *record.down_since.get_or_insert(now);
        if quiet < self.patience {
            return Ok(());
        }
        Err(NetworkDown { seconds: quiet.as_secs(), last: why.to_owned() })
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Knowledge about the time since a try began; `None` if the witnesses must be asked.
    fn proof(&self, since: Instant) -> Option<Proof> {
        if self.down_since.is_some() {
            None
        } else if self.up_since.is_some_and(|up| up >= since) {
            Some(Proof::DidNotWork)
        } else {
            self.answered.filter(|answered| *answered + SHORTLY_BEFORE >= since).map(|_| Proof::Works)
        }
    }

    /// The hosts to ask; `None` if too few links have failed for a doubt.
    fn doubt(&mut self) -> Option<Vec<Url>> {
        if self.answered.is_none() && self.unproven < UNPROVEN {
            self.unproven += 1;
            return None;
        }
        Some(self.witnesses.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(900);

    fn host() -> Url {
        Url::parse("http://witness.example/a?b").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_fails_when_another_host_answers() {
        let network = Network::new(PATIENCE);
        let since = Instant::now();
        network.answered(&host());
        let not_asked = |_: Url| async { unreachable!() };
        assert_eq!(network.prove(since, "x", not_asked).await, Ok(Proof::Works));
        tokio::time::advance(Duration::from_secs(10)).await;
        let asked = |url: Url| async move { url.as_str() == "http://witness.example/" };
        assert_eq!(network.prove(Instant::now(), "x", asked).await, Ok(Proof::Works));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_network_rows_wait_and_are_tried_again_when_it_is_back() {
        let network = Network::new(PATIENCE);
        network.answered(&host());
        tokio::time::advance(Duration::from_secs(10)).await;
        let since = Instant::now();
        let back_after = |_: Url| async move { since.elapsed() > Duration::from_secs(300) };
        let proofs =
            futures::join!(network.prove(since, "x", back_after), network.prove(since, "x", back_after),);
        assert_eq!(proofs, (Ok(Proof::DidNotWork), Ok(Proof::DidNotWork)));
        assert!(since.elapsed() < Duration::from_secs(330), "{:?}", since.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_stays_away_ends_the_work() {
        let network = Network::new(PATIENCE);
        network.answered(&host());
        tokio::time::advance(Duration::from_secs(10)).await;
        let ended = network.prove(Instant::now(), "no route", |_: Url| async { false }).await;
        let error = ended.unwrap_err();
        assert!((900..930).contains(&error.seconds) && error.to_string().contains("no route"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_links_may_fail_before_any_host_has_answered() {
        let network = Network::new(PATIENCE);
        let begun = Instant::now();
        let prove = async || network.prove(Instant::now(), "x", |_: Url| async { unreachable!() }).await;
        for _ in 0..UNPROVEN {
            assert_eq!(prove().await, Ok(Proof::Works));
        }
        while prove().await == Ok(Proof::DidNotWork) {}
        assert!((900..960).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}
