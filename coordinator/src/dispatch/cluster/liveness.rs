//! Signs of life of the server and of a coordinator, which a worker pool needs besides the bucket.

use super::server_contact::{Contact, contact};
use crate::dispatch::Trouble;
use async_nats::Client;
use std::time::Duration;
use tokio::time::Instant;

/// A worker pool reports a missing coordinator after this time; a coordinator announces itself every second.
const NO_COORDINATOR: Duration = Duration::from_secs(10);

pub(super) struct Liveness {
    contact: Contact,
    /// Time of the last message of a coordinator; at first, the start of this worker pool.
    coordinator_heard: Instant,
}

impl Liveness {
    pub fn new() -> Self {
        Self { contact: Contact::default(), coordinator_heard: Instant::now() }
    }

    pub fn hear_coordinator(&mut self) {
        self.coordinator_heard = Instant::now();
    }

    /// Obstacle of the worker pool, after a check of the connection.
    pub fn look(&mut self, client: &Client, url: &str) -> Option<Trouble> {
        self.contact.take_in(contact(client));
        if self.contact.is_lost() {
            // Without the server, the state of a coordinator is unknown.
            self.hear_coordinator();
        }
        let lasts = self.coordinator_heard.elapsed();
        let no_coordinator = (lasts >= NO_COORDINATOR).then_some(Trouble::NoCoordinator { lasts });
        self.contact.trouble(url).or(no_coordinator)
    }
}
