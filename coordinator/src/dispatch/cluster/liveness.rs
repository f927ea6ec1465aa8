//! Liveness of life of what a worker needs besides the bucket: the server, and a coordinator.

use super::server_contact::{Contact, contact};
use crate::dispatch::Trouble;
use async_nats::Client;
use std::time::Duration;
use tokio::time::Instant;

/// A coordinator says once a second that it is there; a worker that has heard none for so long says so.
const NO_COORDINATOR: Duration = Duration::from_secs(10);

pub(super) struct Liveness {
    contact: Contact,
    /// When a coordinator was heard last; at first, when this worker began.
    coordinator_heard: Instant,
}

impl Liveness {
    pub fn new() -> Self {
        Self { contact: Contact::default(), coordinator_heard: Instant::now() }
    }

    pub fn hear_coordinator(&mut self) {
        self.coordinator_heard = Instant::now();
    }

    /// What keeps the worker from getting on, after a look at the connection.
    pub fn look(&mut self, client: &Client, url: &str) -> Option<Trouble> {
        self.contact.take_in(contact(client));
        if self.contact.is_lost() {
            // Of a coordinator nothing can be known then.
            self.hear_coordinator();
        }
        let lasts = self.coordinator_heard.elapsed();
        let no_coordinator = (lasts >= NO_COORDINATOR).then_some(Trouble::NoCoordinator { lasts });
        self.contact.trouble(url).or(no_coordinator)
    }
}
